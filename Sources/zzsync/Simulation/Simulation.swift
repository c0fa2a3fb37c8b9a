// One seed, from the first day to the inspection at rest.

import Foundation
import Shared

struct Outcome: Sendable {
    let plan: Plan
    let failures: [String]
    let faults: FaultCounts
    let tallies: Tallies
    let virtualDays: Double
    /// The same for the same seed.
    let trace: String
    let seconds: Double

    var isFailure: Bool { !failures.isEmpty }
    var replay: String { "zzsync simulate --seed \(plan.seed)" }
}

enum Simulation {
    /// The forms of the test bed: small ones, keyed in the school and everywhere, decided by operators and by time. The whole
    /// catalogue makes a run ten times longer and finds nothing more.
    static func bedCatalogue(_ whole: Catalogue) -> Catalogue {
        let forms = ["general.school.campus", "general.school.department", "integration.enterprise.basic"].compactMap { whole[$0] }
        let sets = Set(forms.flatMap(\.fields).compactMap(\.codes) + ["school_type", "province"])
        return Catalogue(
            forms: forms, codeSets: whole.codeSets.filter { sets.contains($0.key) },
            hash: ContentHash(of: whole.hash.bytes + Array("simulation".utf8)))
    }

    /// - Parameter tell: is given every line of the trace.
    @SimulationActor static func play(_ plan: Plan, catalogue: Catalogue, tell: (@Sendable (String) -> Void)? = nil) async throws -> Outcome {
        let began = ContinuousClock.now
        let country = try Country(plan, catalogue: catalogue, tell: tell)
        try await country.make()
        country.line = plan.line
        country.beginDays()
        await country.scheduler.run(until: Int(plan.days * 86_400_000))
        await country.rest()
        if country.failures.isEmpty { country.inspectAtRest() }
        let elapsed = ContinuousClock.now - began
        return Outcome(
            plan: plan, failures: country.failures, faults: country.faults, tallies: country.tallies,
            virtualDays: Double(country.scheduler.now) / 86_400_000, trace: country.trace.digest,
            seconds: Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18)
    }
}
