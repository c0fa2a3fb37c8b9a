// Every way of building the merge that a model of the rules has shown to lose writes, or to let replicas diverge, built here on
// purpose: the replay of a model's histories, compared after every step, must notice each. Of some a history's end tells nothing, or
// does in one of thousands: that is why steps are compared.
//
// The rules were tried on five models, each with variants of its own, by the names that stand here. Two of the models are run by the
// suite in the product's form (Tests/models/whole_model.py, hub_model.py), and quarantine in a third (quarantine_model.py). The others
// (the five rules alone; one extra at a time; deletes alone) say nothing that these do not: what they weaken is weakened here under
// their names, mostly by the same line.

import Foundation
import Testing

@testable import Shared

struct Variant: CustomTestStringConvertible, Sendable {
    /// In which it was first shown to lose.
    enum Model: String, CaseIterable, Sendable {
        case whole, tree, edge, delete, hubs, own
    }
    let model: Model
    let name: String
    let mutant: MergeMutant
    /// What the variant does there, where another name or an effect stands for it here.
    let why: String
    var testDescription: String { "\(model) \(name)" }

    init(_ model: Model, _ name: String, _ mutant: MergeMutant, _ why: String = "") {
        (self.model, self.name, self.mutant, self.why) = (model, name, mutant, why)
    }
}

extension Variant {
    /// Which variants of each model lose or diverge, as its authors list them.
    static let losing: [Model: String] = [
        .whole: """
            late_ctx pull_over no_hold no_case shrink hold_blind row_seq row_max quiet_policy life_alone no_values no_reshow kin_all case_left \
            reshow_moves revive
            """,
        .tree: "late_ctx late_seal pull_over no_hold no_case shrink echo",
        .edge: "hold hold+hold_ctx quar auto_keep rowmax rowrec",
        .delete: "indep cell row+noretain row+noreshow row+gc row+gcsafe",
        .hubs: """
            hr_naive hr_min hr_hand late_hello cut_R no_cut not_owed no_case whole_seq no_reshow mark_over open_claims newer_wins older_wins \
            same_inc same_epoch lent_above
            """,
        .own: "dead_forgets no_chain once_only case_survives empty_graves",
    ]

    static let all: [Variant] = [
        Variant(.whole, "late_ctx", .lateContext), Variant(.whole, "pull_over", .pullOver), Variant(.whole, "no_hold", .noHold),
        Variant(.whole, "no_case", .noCase), Variant(.whole, "shrink", .shrink), Variant(.whole, "hold_blind", .holdBlind),
        Variant(.whole, "row_seq", .rowSeq), Variant(.whole, "row_max", .rowMax), Variant(.whole, "quiet_policy", .quietPolicy),
        Variant(.whole, "life_alone", .lifeAlone), Variant(.whole, "no_values", .noValues), Variant(.whole, "no_reshow", .noReshow),
        Variant(.whole, "kin_all", .kinAll), Variant(.whole, "case_left", .caseLeft), Variant(.whole, "reshow_moves", .reshowMoves),
        Variant(.whole, "revive", .revive),

        Variant(.tree, "late_ctx", .lateContext), Variant(.tree, "pull_over", .pullOver), Variant(.tree, "no_hold", .noHold),
        Variant(.tree, "no_case", .noCase), Variant(.tree, "shrink", .shrink), Variant(.tree, "late_seal", .lateSeal),
        Variant(.tree, "echo", .echo),

        Variant(.edge, "hold", .holdBlind, "a held cell that meets another value is passed over, as what is sealed: no case"),
        Variant(.edge, "hold+hold_ctx", [.holdBlind, .heldCursor], "as `hold`, and sealed with the cursor of when it came to be held"),
        Variant(
            .edge, "quar", [.quarantineSilent, .ownCursor, .blindRelease],
            "what lies in quarantine counts as merged, what comes later is judged with its own cursor, and what is released overwrites that"),
        Variant(.edge, "auto_keep", .quietPolicy, "the policy's loser goes to a journal, nothing is written that covers it"),
        Variant(.edge, "rowmax", .rowMax, "a page shows cells by the position of the row"),
        Variant(.edge, "rowrec", .rowSeq, "what waits for the parent has one seq a row"),

        Variant(.delete, "indep", [.lifeAlone, .deadSilent, .noReshow], "the life is one more cell: no rule across cells, in either direction"),
        Variant(.delete, "cell", .lifeAlone, "a delete is judged against the life alone"),
        Variant(.delete, "row+noretain", .noValues, "the tombstone keeps no values"),
        Variant(.delete, "row+noreshow", .noReshow, "a row that lives again takes no new positions"),
        Variant(.delete, "row+gc", .collect), Variant(.delete, "row+gcsafe", .collectLate),

        Variant(.hubs, "hr_naive", [.noHandBack, .noCut]), Variant(.hubs, "hr_min", .noHandBack), Variant(.hubs, "hr_hand", .handBackAtOnce),
        Variant(.hubs, "late_hello", .lateHello), Variant(.hubs, "cut_R", .cutByEnd), Variant(.hubs, "no_cut", .noCut),
        Variant(.hubs, "not_owed", .notOwed), Variant(.hubs, "whole_seq", .wholeSeq), Variant(.hubs, "no_reshow", .noReturnShow),
        Variant(.hubs, "newer_wins", .newerWins), Variant(.hubs, "older_wins", .olderWins), Variant(.hubs, "same_inc", .sameSite),
        Variant(.hubs, "same_epoch", .sameEpoch), Variant(.hubs, "open_claims", .openClaims),
        Variant(
            .hubs, "no_case", .openClaims,
            "a page tells one candidate of a case, and claims to cover all: pages carry the one that is shown, so what is wrong is the claim"),
        Variant(
            .hubs, "mark_over", .markOver,
            """
            a child counts as having seen what it hands back though it had passed over it. No such marks here, which only save cases: made is \
            their effect, that who hands back has seen
            """),
        Variant(
            .hubs, "lent_above", .lentAbove,
            """
            a value of the parent's that came back from below waits for ever, though the parent has lost it too. Here it goes up at once: made \
            is the effect, that it counts as the parent's
            """),

        Variant(.own, "dead_forgets", .deadForgets), Variant(.own, "no_chain", .noChain), Variant(.own, "once_only", .onceOnly),
        Variant(.own, "case_survives", .caseSurvives), Variant(.own, "empty_graves", .emptyGraves),
    ]

    /// The histories that tell.
    var histories: MergeModel.Histories {
        if name == "quar" { return QuarantineModelTests.first }
        if mutant == .emptyGraves { return RestoredHubTests.deleted }
        if mutant == .onceOnly || mutant == .caseSurvives { return RestoredHubTests.together }
        return model == .hubs || mutant == .noChain ? RestoredHubTests.first : MergeModelTests.first
    }
}

@Suite(.serialized) struct VariantTests {
    /// A variant that is known to lose is built here, and each once.
    @Test func everyNameIsThere() {
        for model in Variant.Model.allCases {
            let names = Variant.losing[model, default: ""].split(separator: " ").map(String.init)
            #expect(names.sorted() == Variant.all.filter { $0.model == model }.map(\.name).sorted(), "\(model)")
        }
        #expect(Variant.all.allSatisfy { !$0.mutant.isEmpty })
    }

    @Test(arguments: Variant.all) func isNoticed(variant: Variant) async throws {
        let parts = variant.mutant.parts
        for mutant in parts.count > 1 ? [variant.mutant] + parts : parts { try await expectNotice(variant, mutant) }
    }

    private func expectNotice(_ variant: Variant, _ mutant: MergeMutant) async throws {
        for tiers in [3, 4] {
            let outcome = try await MergeModel.aside {
                try MergeModel.replay(variant.histories[tiers]!.get(), mutants: mutant)
            }
            if let difference = outcome.difference {
                let step = difference.prefix { $0 != ":" && $0 != "\n" }
                return print("variant \(variant.testDescription): noticed in history \(outcome.histories + 1) of \(tiers) tiers, \(step)")
            }
        }
        Issue.record("the variant (\(mutant)) replays the first histories unnoticed")
    }
}

extension MergeMutant {
    /// Each of its weakenings alone.
    fileprivate var parts: [MergeMutant] {
        (0..<Int.bitWidth).map { MergeMutant(rawValue: 1 << $0) }.filter { !isDisjoint(with: $0) }
    }
}
