// Rule 5, the child's half: which cells a pull passes over because the parent has not merged them yet.

/// Which cells of a row wait for the parent: sealed, and not merged as of a page.
package struct Pending: Hashable, Sendable {
    package private(set) var fields = FieldMask()
    package private(set) var life = false
    package var isEmpty: Bool { fields.isEmpty && !life }
    package init() {}

    /// Notes a change of the row that waits. A change carries some groups of the row and says something of its life or not:
    /// what waits is known a group, or a row's settled groups would be held against the parent's newer ones.
    package mutating func add(fields: FieldMask, life: Life, mutants: MergeMutant = []) {
        if mutants.contains(.pullOver) { return }
        self.fields = mutants.contains(.rowSeq) ? FieldMask(~0) : self.fields | fields
        if life != .unchanged || mutants.contains(.rowSeq) { self.life = true }
    }

    /// Notes a later change of the row that is merged: the parent has answered it, and with it all that was said of its cells before. Who
    /// deletes a row has no more to say of any.
    package mutating func settle(fields: FieldMask, life: Life) {
        self.fields = life == .dead ? FieldMask() : FieldMask(self.fields.bits & ~fields.bits)
        if life != .unchanged { self.life = false }
    }
}
