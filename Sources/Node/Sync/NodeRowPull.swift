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
    static func decide(_ form: Form, life: Life, mask: FieldMask, present: Bool, pending: Pending) -> NodeRowPull {
        switch life {
        case .dead:
            // A pull does not delete a row with unsettled edits: the parent will judge them.
            return pending.isEmpty ? .delete : .pass
        case .alive where !present:
            // Deleted here and not judged yet?
            return pending.life ? .pass : .write(settled(form, mask, pending), insert: true)
        case .unchanged where !present:
            // A group of a row that is dead or unknown here: its life brings it whole when it comes.
            return .pass
        case .alive, .unchanged:
            let mask = settled(form, mask, pending)
            return mask.isEmpty ? .pass : .write(mask, insert: false)
        }
    }

    /// The groups of `mask` of which no field waits.
    private static func settled(_ form: Form, _ mask: FieldMask, _ pending: Pending) -> FieldMask {
        guard !pending.fields.isEmpty else { return mask }
        return form.groups.reduce(into: FieldMask()) { out, group in
            if (group.mask & pending.fields).isEmpty { out = out | (group.mask & mask) }
        }
    }
}
