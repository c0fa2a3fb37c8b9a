// What becomes of two rows that are merged, field by field: shown before anybody says so, and told afterwards in the answer and the journal.

import Shared

package struct MergeOutcome: Codable, Hashable, Sendable {
    /// The row that stays and the one that goes.
    package var survivor: String
    package var other: String
    /// Column → value, of the columns in which the two differ: the survivor's, which stay; the other's, which go with it; the other's, which
    /// fill what the survivor has left empty.
    package var stays: [String: String] = [:]
    package var goes: [String: String] = [:]
    package var fills: [String: String] = [:]

    /// The result in words, with the titles of the form.
    package func told(_ form: Form?) -> String {
        func title(_ column: String) -> String { form?.fields.first { $0.id == column }?.title ?? column }
        let kept = stays.sorted { $0.key < $1.key }.map { "\(title($0.key))=\($0.value)，not \(goes[$0.key]!.isEmpty ? "empty" : goes[$0.key]!)" }
        let filled = fills.sorted { $0.key < $1.key }.map { "\(title($0.key))=\($0.value)" }
        return "rows \(survivor) and \(other) merged into \(survivor)" + (kept.isEmpty ? "" : ", which keeps \(kept.joined(separator: "; "))")
            + (filled.isEmpty ? "" : "\(kept.isEmpty ? ", which" : " and") takes \(filled.joined(separator: "; ")) from \(other)")
    }
}

extension TwinMerger.Pair {
    /// A group that the survivor has left empty is the other's.
    func isFilled(_ group: Int) -> Bool { survivor.groupValues(group).allSatisfy(\.isNull) && !isEqual(group) }

    private func isEqual(_ group: Int) -> Bool { survivor.groupValues(group) == other.groupValues(group) }

    var outcome: MergeOutcome {
        var outcome = MergeOutcome(survivor: survivor.id.description, other: other.id.description)
        for (index, group) in survivor.form.groups.enumerated() where !isEqual(index) {
            for field in group.fields where survivor.values[field] != other.values[field] {
                let (column, mine, theirs) = (survivor.form.fields[field].id, survivor.values[field].shown, other.values[field].shown)
                if isFilled(index) {
                    outcome.fills[column] = theirs
                } else {
                    (outcome.stays[column], outcome.goes[column]) = (mine, theirs)
                }
            }
        }
        return outcome
    }
}
