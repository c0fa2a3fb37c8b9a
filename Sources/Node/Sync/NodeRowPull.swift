// Pure: what a node does with one change of its parent's log page. A node has sealed all its own before it pulls; it holds
// nothing and opens no case.

import Shared

enum NodeRowPull: Equatable {
    /// The parent will judge it, or there is nothing in it for this node.
    case pass
    /// The row, where it is there.
    case delete
    /// The row of these fields' values; `insert` when it is not there.
    case write(FieldMask, insert: Bool)

    /// - Parameters:
    ///   - life: what the change says about the row's life; a page's changes of one row come life first.
    ///   - present: the row is in the table.
    static func decide(life: Life, mask: FieldMask, present: Bool, pending: Pending) -> NodeRowPull {
        switch life {
        case .dead:
            // A pull does not delete a row with unsettled edits: the parent will judge them.
            return pending.isEmpty ? .delete : .pass
        case .alive where !present:
            // Deleted here and not judged yet?
            return pending.life ? .pass : .write(settled(mask, pending), insert: true)
        case .unchanged where !present:
            // A group of a row that is dead or unknown here: its life brings it whole when it comes.
            return .pass
        case .alive, .unchanged:
            let mask = settled(mask, pending)
            return mask.isEmpty ? .pass : .write(mask, insert: false)
        }
    }

    /// The fields of `mask` that do not wait. Whole groups were sealed, and the parent shows whole groups, each as it cuts them: what
    /// of the one lies outside the other, the parent will not judge.
    private static func settled(_ mask: FieldMask, _ pending: Pending) -> FieldMask { FieldMask(mask.bits & ~pending.fields.bits) }
}
