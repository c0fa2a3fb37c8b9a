// Pure: what a node's mark becomes when it is sealed. Whole groups go up; a node holds nothing back.

import Shared

enum NodeRowSeal {
    /// The change that a mark stands for; nil when there is nothing to say.
    ///
    /// - Parameters:
    ///   - life: the mark's: what happened to the row since the last seal.
    ///   - present: the row is in the table.
    static func change(_ form: Form, life: Life, mask: FieldMask, present: Bool) -> (life: Life, mask: FieldMask)? {
        if present { return (life == .dead ? .alive : life, form.closure(mask)) }
        // A row that is gone while its mark does not say so was deleted while the triggers were gone: nothing to seal.
        return life == .dead ? (.dead, FieldMask()) : nil
    }
}
