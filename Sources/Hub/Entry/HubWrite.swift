// What a hub writes itself onto a row that stands here, cell by cell. Whoever writes has the row before his eyes, so that nothing is
// judged by positions; but a disputed cell stays disputed, and a cell of its owner (一数一源) stays its owner's.
//
// Two designs for a value that is not its owner's: refuse the whole write with the owner's name (simple; but a workbook of 5,000 rows would
// stand still for one cell, and nobody would ever be asked), or what becomes of a school's different value: a change request, by the same
// ruling with the same journal. The second.

import GRDB
import Shared

/// A cell of which something else was made than a value: the case that has it.
package struct CellCase: Codable, Sendable {
    package var line: Int
    /// Titles of the group's fields.
    package var field: String
    package var number: Int64
    /// Its number among the candidates of a disputed cell; nil where the cell shows this value meanwhile.
    package var candidate: Int?
    /// Of a change request: who owns the cell, by which policy, and what stands.
    package var owner: String?
    package var policy: String?
    package var stands: String?

    enum CodingKeys: String, CodingKey {
        case line, field, number = "case", candidate, owner, policy, stands
    }
}

/// What became of the groups of one row.
struct HubWrite {
    var changed: [Int] = []
    /// Equal to what stands, and now its owner's word.
    var owned: [Int] = []
    /// Disputed: the value is one more candidate, or the one that the cell shows meanwhile.
    var disputed: [(group: Int, candidate: Int?)] = []
    /// Asked for against the owner's value, which stands.
    var requested: [Int] = []
}

extension MergeRow {
    /// - Parameters:
    ///   - new: field index → value; the rest of a group keeps what it has.
    ///   - isAsked: whether the same is asked for here already, so that asking again says nothing new.
    mutating func write(
        _ new: [Int: Value], by: Provenance, seen: Position, _ context: JudgeContext, isAsked: (Int, [Value]) throws -> Bool
    ) rethrows -> HubWrite {
        var done = HubWrite()
        for (index, group) in form.groups.enumerated() where group.fields.contains(where: { new[$0] != nil }) {
            let wanted = group.fields.map { new[$0] ?? values[$0] }
            let candidate = Candidate(by: by, values: wanted, life: .unchanged, cursor: seen)
            if cases[index] != nil {
                let isShown = wanted == groupValues(index)
                if !isShown { dispute(index, candidate) }       // rule 3: it joins
                done.disputed.append((index, isShown ? nil : cases[index]!.candidates.count))
            } else if wanted == groupValues(index) {
                // An owner who says what somebody else has typed already has said it: from then on the cell is his.
                let policy = context.policies[form, index]
                guard policy.policy == .owner, context.policies.isOwners(by, policy.owner), !context.policies.isOwners(cells[index].by, policy.owner)
                else { continue }
                put(index, wanted, by: by)
                done.owned.append(index)
            } else if contradictsOwner(index, by, context) {
                if try !isAsked(index, wanted) { settle(index, by: context.policies[form, index], candidate, wins: false, context) }
                done.requested.append(index)
            } else {
                put(index, wanted, by: by)
                done.changed.append(index)
            }
        }
        return done
    }
}
