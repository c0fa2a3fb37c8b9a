// Pure: a row whose form's groups are cut differently from now on (DESIGN section 5): a new group takes its fields' highest written
// position, its writer is nobody if they differ, and their open cases join.

import Shared

extension MergeRow {
    /// The row under the form of another version with the same columns.
    func regrouped(into form: Form, mutants: MergeMutant = []) -> MergeRow {
        var row = MergeRow(form: form, id: id)
        (row.life, row.lifeCell, row.values, row.rowCase) = (life, lifeCell, values, rowCase)
        (row.isStored, row.hadCases, row.moved) = (isStored, hadCases, hadCases)
        var taken: Set<Int64> = []
        for (index, group) in form.groups.enumerated() {
            let parts = self.form.groups.indices.filter { !(self.form.groups[$0].mask & group.mask).isEmpty }
            let written = parts.map { cells[$0] }.filter(\.isWritten)
            guard var cell = written.max(by: { $0.written < $1.written }) else { continue }
            if mutants.contains(.lowestPosition) { cell.written = written.map(\.written).min()! }
            cell.shown = written.map(\.shown).max()!
            cell.base = written.map(\.base).min()!
            cell.disputedAbove = written.contains(where: \.disputedAbove)
            // Nobody's: whoever wrote one part of it has not written the other.
            if !mutants.contains(.keptWriter), written.contains(where: { $0.by.writer != cell.by.writer }) { cell.by.writer = .hub }
            row.cells[index] = cell
            guard !mutants.contains(.casesClosed), var open = joined(parts, into: group) else { continue }
            if let number = open.number, !taken.insert(number).inserted { open.number = nil }
            row.cases[index] = open
        }
        return row
    }

    /// The open cases of some groups as one about another group: each candidate with the present values beside what it says.
    private func joined(_ parts: [Int], into group: Group) -> OpenCase? {
        var joined: OpenCase?
        for part in parts {
            guard let open = cases[part] else { continue }
            var now = joined ?? OpenCase(number: open.number, candidates: [])
            for candidate in open.candidates {
                var whole = candidate
                whole.values = group.fields.map { field in
                    form.groups[part].fields.firstIndex(of: field).map { candidate.values[$0] } ?? values[field]
                }
                now.join(whole)
            }
            joined = now
        }
        // A part of a group in which nobody differs is no question.
        guard let joined, Set(joined.candidates.map(\.values)).count > 1 else { return nil }
        return joined
    }
}
