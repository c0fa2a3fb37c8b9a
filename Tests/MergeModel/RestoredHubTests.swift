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
    static let model = MergeModel("restored hubs", "hub_run.py", short: 80, long: 2_000)
    static let first = model.first()

    @Test(arguments: [3, 4]) func modelLosesNothing(tiers: Int) async throws {
        try await Self.model.expectNothingLost(tiers: tiers)
    }

    @Test(arguments: [3, 4]) func agreesAfterEveryStep(tiers: Int) async throws {
        try await Self.model.expectAgreement(tiers: tiers, first: Self.first)
    }

    /// Where hubs that are put back mostly take their parents along. The first two of three tiers are rare: in 177 a candidate of a case lay
    /// at a hub that was put back twice, in 3117 a case was about a value that survived.
    static let together: MergeModel.Histories = [
        3: Result { try [177..<178, 3117..<3118, 0..<40].flatMap { try MergeModel.histories(model.script, 3, $0, "both") } },
        4: Result { try MergeModel.histories(model.script, 4, 0..<40, "both") },
    ]

    @Test(arguments: [3, 4]) func agreesWhereParentsAreTakenAlong(tiers: Int) async throws {
        let outcome = try await MergeModel.aside { try MergeModel.replay(Self.together[tiers]!.get()) }
        if let difference = outcome.difference { Issue.record("\(difference)") }
        #expect(outcome.histories == (tiers == 3 ? 42 : 40))
    }

    /// With rows that are deleted too. In the first of three tiers a row lives again of which the pages that came back had told the delete alone; in
    /// 713 the outcome of a delete that was overruled is told by pages alone, for both hubs that had it were put back.
    static let deleted: MergeModel.Histories = [
        3: Result { try [702..<703, 713..<714, 0..<20].flatMap { try MergeModel.histories(model.script, 3, $0, "both", "deletes") } },
        4: Result { try MergeModel.histories(model.script, 4, 0..<20, "both", "deletes") },
    ]

    @Test(arguments: [3, 4]) func agreesWhereRowsAreDeleted(tiers: Int) async throws {
        let outcome = try await MergeModel.aside { try MergeModel.replay(Self.deleted[tiers]!.get()) }
        if let difference = outcome.difference { Issue.record("\(difference)") }
        #expect(outcome.histories == (tiers == 3 ? 22 : 20))
    }

    @Test func aRowThatLivesAgainIsWhole() async throws {
        func check(_ bug: String) async throws -> [UInt8] {
            try await MergeModel.aside { try MergeModel.run(["check", "1", "3", bug, "702", "both", "deletes"], script: Self.model.script) }
        }
        _ = try await check("")
        let told = await #expect(throws: MergeModel.Trouble.self) { try await check("empty_graves") }
        #expect(told?.description.contains("partial=1 (1)") == true)
    }

    /// Whose author had seen two entries; its own history is gone with it, not what its author knew (`Row.graves`).
    @Test func aDeleteThatIsGoneHadSeenWhatItCovered() async throws {
        _ = try await MergeModel.aside { try MergeModel.run(["check", "1", "3", "", "713", "both", "deletes"], script: Self.model.script) }
    }

    /// Both were lost before, and are where their rule is left out.
    @Test(arguments: [("177", "once_only"), ("3117", "case_survives")]) func modelLosesWithout(seed: String, mutant: String) async throws {
        func check(_ bug: String) async throws -> [UInt8] {
            try await MergeModel.aside { try MergeModel.run(["check", "1", "3", bug, seed, "both"], script: Self.model.script) }
        }
        _ = try await check("")
        let told = await #expect(throws: MergeModel.Trouble.self) { try await check(mutant) }
        #expect(told?.description.contains("(1 seeds) diverged=0") == true)
    }
}
