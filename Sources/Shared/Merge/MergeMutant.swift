// What the tests make wrong on purpose, to show that they would notice: each of these loses writes or lets replicas diverge
// (Tests/models/whole_model.py counts how often). Nothing outside Tests sets one.

/// A rule of the merge left out or built wrong.
package struct MergeMutant: OptionSet, Hashable, Sendable {
    package let rawValue: Int
    package init(rawValue: Int) { self.rawValue = rawValue }

    /// A segment is judged with the cursor of the moment at which it arrives, not with the one it was sealed with.
    package static let lateContext = Self(rawValue: 1 << 0)
    /// A pull replaces cells that the parent has not merged yet.
    package static let pullOver = Self(rawValue: 1 << 1)
    /// Disputed and invalid cells go up.
    package static let noHold = Self(rawValue: 1 << 2)
    /// The last one to arrive wins.
    package static let noCase = Self(rawValue: 1 << 3)
    /// A write of someone who had seen what a case shows closes it.
    package static let shrink = Self(rawValue: 1 << 4)
    /// A held cell that meets another value from above opens no case.
    package static let holdBlind = Self(rawValue: 1 << 5)
    /// What waits for the parent is known a row, not a group.
    package static let rowSeq = Self(rawValue: 1 << 6)
    /// A page shows cells by the newest position of their row.
    package static let rowMax = Self(rawValue: 1 << 7)
    /// A policy that keeps the present value writes nothing.
    package static let quietPolicy = Self(rawValue: 1 << 8)
    /// A delete is judged against the row's life alone.
    package static let lifeAlone = Self(rawValue: 1 << 9)
    /// A hub's tombstone forgets the values.
    package static let noValues = Self(rawValue: 1 << 10)
    /// A kept row is not shown again whole.
    package static let noReshow = Self(rawValue: 1 << 11)
    /// A restored node counts as its older incarnation for all that one ever wrote.
    package static let kinAll = Self(rawValue: 1 << 12)
    /// Deleting a row by decision leaves its open cases.
    package static let caseLeft = Self(rawValue: 1 << 13)
    /// A row that lives again is sealed before its delete was judged above.
    package static let revive = Self(rawValue: 1 << 14)
    /// A page shows a cell by where it is shown last alone, not by where it was written.
    package static let reshowMoves = Self(rawValue: 1 << 15)
    /// A hub that sent a delete forgets which of the dead row's cells never went up.
    package static let deadForgets = Self(rawValue: 1 << 16)

    package static let all: [(name: String, mutant: MergeMutant)] = [
        ("late_ctx", .lateContext), ("pull_over", .pullOver), ("no_hold", .noHold), ("no_case", .noCase), ("shrink", .shrink),
        ("hold_blind", .holdBlind), ("row_seq", .rowSeq), ("row_max", .rowMax), ("quiet_policy", .quietPolicy),
        ("life_alone", .lifeAlone), ("no_values", .noValues), ("no_reshow", .noReshow), ("kin_all", .kinAll),
        ("case_left", .caseLeft), ("revive", .revive), ("reshow_moves", .reshowMoves), ("dead_forgets", .deadForgets),
    ]
}
