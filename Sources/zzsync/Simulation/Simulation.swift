// One seed, from the first day to the inspection at rest.

import Foundation
import Shared

struct Outcome: Sendable {
    let plan: Plan
    let failures: [String]
    let faults: FaultCounts
    let tallies: Tallies
    /// Of the longest line from a school to the ministry.
    let tiers: Int
    let virtualDays: Double
    /// The same for the same seed.
    let trace: String
    let seconds: Double

    var isFailure: Bool { !failures.isEmpty }
    /// Too small a country, or one in which nothing went wrong, shows nothing.
    var isThin: Bool { tiers < 3 || plan.schools < 5 || plan.nodes < 8 || tallies.writes < 300 || faults.counts.isEmpty }
    var size: String { "\(tiers) tiers, \(plan.schools) schools, \(plan.nodes) nodes, \(tallies.writes) writes, \(faults.counts.values.reduce(0, +)) faults" }
    var replay: String { "zzsync simulate --seed \(plan.seed)" }
}

enum Simulation {
    /// The forms of the test bed: small ones, keyed in the school and everywhere, decided by operators and by time. The whole
    /// catalogue makes a run ten times longer and finds nothing more.
    static func bedCatalogue(_ whole: Catalogue) throws(Failure) -> Catalogue {
        let sets = bedForms.compactMap { whole[$0] }.flatMap(\.fields).compactMap(\.codes) + ["school_type", "province"]
        return try selection(of: whole, bedForms, codes: Set(sets))
    }
    static let bedForms = ["general.school.campus", "general.school.department", "integration.enterprise.basic"]

    /// The catalogue of these forms alone, which must not refer to others.
    ///
    /// - Parameter codes: the code sets that stay; nil is all.
    static func selection(of whole: Catalogue, _ ids: [String], codes: Set<String>? = nil) throws(Failure) -> Catalogue {
        let kept = Set(ids.map { "forms/\($0).toml" })
        return try CatalogueLoader.compile(whole.files.filter { file in
            if file.name.hasPrefix("forms/") { return kept.contains(file.name) }
            return codes?.contains { file.name == "codes/\($0).tsv" } ?? true
        })
    }

    /// - Parameters:
    ///   - tell: is given every line of the trace.
    ///   - watch: makes the witness.
    @SimulationActor static func play(
        _ plan: Plan, catalogue: Catalogue, tell: (@Sendable (String) -> Void)? = nil, watch: ((Country) -> any Witness)? = nil
    ) async throws -> Outcome {
        let began = ContinuousClock.now
        let country = try Country(plan, catalogue: catalogue, tell: tell)
        try await country.make()
        country.witness = watch?(country)
        country.line = plan.line
        country.beginDays()
        await country.scheduler.run(until: Int(plan.days * 86_400_000))
        await country.rest()
        if country.failures.isEmpty { country.inspectAtRest() }
        // It holds the country, whose folder goes with it.
        country.witness = nil
        let elapsed = ContinuousClock.now - began
        return Outcome(
            plan: plan, failures: country.failures, faults: country.faults, tallies: country.tallies,
            tiers: country.sites.map(\.tier).max() ?? 0, virtualDays: Double(country.scheduler.now) / 86_400_000, trace: country.trace.digest,
            seconds: Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18)
    }
}
