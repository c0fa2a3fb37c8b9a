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

    private static func print(_ tiers: Int, _ seeds: Range<Int>) throws -> [UInt8] {
        try MergeModel.run(["print", "\(seeds.count)", "\(tiers)", "\(seeds.lowerBound)"], script: "hub_run.py")
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
