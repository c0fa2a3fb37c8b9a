// Hubs put back from copies, against the model of that: the same rows, cases, positions and debts after every step, and with
// any rule of it left out not (VariantTests).
//
// The design's own model of restored hubs hands back the newest entry of each cell, with all candidates of its case and what each
// had seen. The product hands back its own pages as they came, and learns by their marks that it was put back. So the model that
// is replayed here (Tests/models/hub_model.py) has the product's form, over the model of the whole merge; full causal histories
// say of it, as of the design's, that nothing is lost. Compared after every step, a replica: every cell (value, who brought and
// typed it, both positions, base, open case with its candidates, whether it waits to be sealed and for the parent), log end,
// cursor, merged, judged and sealed seq, epoch, site, pages kept and to be handed back, what was taken back and what it covers.

import Foundation
import Testing

@testable import Shared

@Suite(.serialized) struct RestoredHubTests {
    /// Histories of each number of tiers.
    static var seeds: Int { MergeModel.isLong ? 2_000 : 80 }

    static let first: [Int: Result<[UInt8], any Error>] = [3: Result { try print(3, 0..<80) }, 4: Result { try print(4, 0..<80) }]

    /// Where hubs that are put back mostly take their parents along. The first two of three tiers are rare: in 177 a candidate of a case lay
    /// at a hub that was put back twice, in 3117 a case was about a value that survived.
    static let together: [Int: Result<[UInt8], any Error>] = [
        3: Result { try [177..<178, 3117..<3118, 0..<40].flatMap { try print(3, $0, together: true) } }, 4: Result { try print(4, 0..<40, together: true) },
    ]

    @Test(arguments: [3, 4]) func agreesWhereParentsAreTakenAlong(tiers: Int) async throws {
        let outcome = try await MergeModel.aside { MergeModel.replay(try Self.together[tiers]!.get()) }
        if let difference = outcome.difference { Issue.record("\(difference)") }
        #expect(outcome.histories == (tiers == 3 ? 42 : 40))
    }

    /// Both were lost before, and are where their rule is left out.
    @Test(arguments: [("177", "once_only"), ("3117", "case_survives")]) func modelLosesWithout(seed: String, mutant: String) async throws {
        func check(_ bug: String) async throws -> [UInt8] {
            try await MergeModel.aside { try MergeModel.run(["check", "1", "3", bug, seed, "both"], script: "hub_run.py") }
        }
        _ = try await check("")
        let told = await #expect(throws: MergeModel.Trouble.self) { try await check(mutant) }
        #expect(told?.description.contains("(1 seeds) diverged=0") == true)
    }

    private static func print(_ tiers: Int, _ seeds: Range<Int>, together: Bool = false) throws -> [UInt8] {
        try MergeModel.run(["print", "\(seeds.count)", "\(tiers)", "\(seeds.lowerBound)"] + (together ? ["both"] : []), script: "hub_run.py")
    }

    /// Of the histories that are replayed.
    @Test(arguments: [3, 4]) func modelLosesNothing(tiers: Int) async throws {
        let output = try await MergeModel.aside { try MergeModel.run(["check", "\(min(Self.seeds, 1_000))", "\(tiers)"], script: "hub_run.py") }
        let said = String(decoding: output, as: UTF8.self)
        #expect(said.contains("lost=0 (0 seeds) diverged=0 (0) partial=0"), "\(said)")
    }

    @Test(arguments: [3, 4]) func agreesAfterEveryStep(tiers: Int) async throws {
        var histories = 0
        var steps = 0
        for start in stride(from: 0, to: Self.seeds, by: 80) {
            let seeds = start..<min(start + 80, Self.seeds)
            let outcome = try await MergeModel.aside {
                MergeModel.replay(try start == 0 ? Self.first[tiers]!.get() : Self.print(tiers, seeds))
            }
            if let difference = outcome.difference {
                Issue.record("\(difference)")
                return
            }
            histories += outcome.histories
            steps += outcome.steps
        }
        #expect(histories == Self.seeds)
        Swift.print("restored hubs, \(tiers) tiers: \(histories) histories, \(steps) steps agree")
    }
}
