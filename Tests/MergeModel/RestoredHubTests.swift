// Hubs put back from copies, against the model of that: the same rows, cases, positions and debts after every step, and with
// any rule of it left out not.
//
// The design's own model of restored hubs hands back the newest entry of each cell, with all candidates of its case and what each
// had seen. The product hands back its own pages as they came, and learns by their marks that it was put back. So the model that
// is replayed here (Tests/models/hub_model.py) has the product's form, over the model of the whole merge; full causal histories
// say of it, as of the design's, that nothing is lost. Compared after every step, a replica: every cell (value, who brought and
// typed it, both positions, base, open case with its candidates, whether it waits to be sealed and for the parent), log end,
// cursor, merged, judged and sealed seq, epoch, site, pages kept and to be handed back, what was taken back and what it covers.
//
// Of the design's variants these have no counterpart, for the mechanism that they weaken is not in the product, which asks more
// instead (the design calls the leaving out of each harmless):
//
//     mark_over   a value that a child held is marked with the cursor with which it was held  (no_mark: no such marks here)
//     lent_above  a value lent from below is not sent up while its author may come            (no_lent: it goes up at once)
//
// and `no_case` (a page tells one candidate of a case, and claims to cover all) is `open_claims` here: pages carry the candidate
// that is shown and nothing else, so what is wrong is the claim alone.

import Foundation
import Testing

@testable import Shared

@Suite(.serialized) struct RestoredHubTests {
    /// Histories by number of tiers. The long run of three ends before the first known disagreement, of which nothing is lost: in history
    /// 698 the model gives a row a position which the product does not.
    static func seeds(_ tiers: Int) -> Int { MergeModel.isLong ? [3: 640, 4: 2_000][tiers]! : 80 }

    static let first: [Int: Result<[UInt8], any Error>] = [3: Result { try print(3, 0..<80) }, 4: Result { try print(4, 0..<80) }]

    private static func print(_ tiers: Int, _ seeds: Range<Int>) throws -> [UInt8] {
        try MergeModel.run(["print", "\(seeds.count)", "\(tiers)", "\(seeds.lowerBound)"], script: "hub_run.py")
    }

    /// Of the histories that are replayed.
    @Test(arguments: [3, 4]) func modelLosesNothing(tiers: Int) async throws {
        let output = try await MergeModel.aside { try MergeModel.run(["check", "\(min(Self.seeds(tiers), 1_000))", "\(tiers)"], script: "hub_run.py") }
        let said = String(decoding: output, as: UTF8.self)
        #expect(said.contains("lost=0 (0 seeds) diverged=0 (0) partial=0"), "\(said)")
    }

    @Test(arguments: [3, 4]) func agreesAfterEveryStep(tiers: Int) async throws {
        var histories = 0
        var steps = 0
        for start in stride(from: 0, to: Self.seeds(tiers), by: 80) {
            let seeds = start..<min(start + 80, Self.seeds(tiers))
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
        #expect(histories == Self.seeds(tiers))
        Swift.print("restored hubs, \(tiers) tiers: \(histories) histories, \(steps) steps agree")
    }

    @Test(arguments: MergeMutant.restored.map(\.name)) func noticesMutant(name: String) async throws {
        let mutant = MergeMutant.restored.first { $0.name == name }!.mutant
        for tiers in [3, 4] {
            let outcome = try await MergeModel.aside { MergeModel.replay(try Self.first[tiers]!.get(), mutants: mutant) }
            if outcome.difference != nil {
                return Swift.print("mutant \(name): noticed in history \(outcome.histories + 1) of \(tiers) tiers")
            }
        }
        Issue.record("the mutant \(name) replays the first histories unnoticed")
    }
}
