// What a policy decides without asking: a decision by the system at a position of its own, which covers both sides.
//
// Two designs were weighed: a policy as a resolver that quietly yields a value (few lines; nothing to list, nothing to take
// back, and the side that lost never learns of it), or as an operator who is instant: a case with its candidates that is
// decided as it opens. The second: journal, undo and history are those of every decision.

import Shared

/// A decision of a policy about one group.
package struct PolicyRuling: Hashable, Sendable {
    package let group: Int
    package let policy: GroupPolicy
    /// What won, then what lost. Under `owner` the second is a change request.
    package let candidates: [Candidate]
    package let before: [Value]
    package let position: Position
    /// Seconds since 1970 at the hub.
    package let at: Int64
}

/// The same, with its row.
package struct RowRuling: Hashable, Sendable {
    let form: FormNumber
    let row: RowID
    let fields: Int
    let ruling: PolicyRuling

    init(form: Form, row: RowID, ruling: PolicyRuling) {
        self.form = form.number
        self.row = row
        fields = form.groups[ruling.group].number
        self.ruling = ruling
    }
}

/// The policies that count for one scope at one hub now, and whose word counts as whose.
package struct ScopePolicies: Sendable {
    var overrides: [FormNumber: [Int: GroupPolicy]] = [:]
    var hub = SiteID(0)
    var level = Tier.province
    /// The direct children that are hubs, and the school's own nodes, in all their incarnations.
    var hubsBelow: Set<SiteID> = []
    var nodes: Set<SiteID> = []

    package init() {}

    subscript(form: Form, group: Int) -> GroupPolicy {
        let group = form.groups[group]
        return overrides[form.number]?[group.number] ?? GroupPolicy(policy: group.policy, owner: group.owner)
    }

    /// A value is known by the way it came and the site at which it was typed: a hub cannot see further than its neighbours, so
    /// all above the parent speaks as the parent, and all below a child hub as schools. A neighbour's own word is its own also where it
    /// comes back from above, after this hub was put back or from a case there.
    private enum Standing { case above, here, hubBelow, school }

    private func standing(_ by: Provenance) -> Standing {
        switch by.writer {
        case .parent where nodes.contains(by.stamp.origin): .school
        case .parent where hubsBelow.contains(by.stamp.origin): .hubBelow
        case .parent: by.stamp.origin == hub ? .here : .above
        case .hub where by.stamp.origin == hub: .here
        case .hub: hubsBelow.contains(by.stamp.origin) ? .hubBelow : .school      // a policy kept what somebody else had typed
        case .child: hubsBelow.contains(by.stamp.origin) ? .hubBelow : .school
        }
    }

    /// The value is its owner's own word.
    func isOwners(_ by: Provenance, _ owner: Owner) -> Bool {
        let standing = standing(by)
        switch owner {
        case .tier(.school): return standing == .school
        case .tier(let tier): return standing == (tier == level ? .here : tier < level ? .above : .hubBelow)
        // Who typed is claimed by the replica; a school's node does not become a register by claiming so.
        case .source(let name): return standing != .school && by.stamp.source == name
        }
    }

    /// The owner's word among cells that say the same of a group; nil where the policy is another, or none is his.
    func ownersWord(_ form: Form, _ group: Int, among cells: [Cell]) -> Provenance? {
        let policy = self[form, group]
        guard policy.policy == .owner else { return nil }
        return cells.map(\.by).first { isOwners($0, policy.owner) }
    }
}

extension MergeRow {
    /// Whether the incoming one of two unseen values stands, by the group's policy; nil when a person must say it.
    func policyAnswer(_ group: Int, _ incoming: Candidate, _ context: JudgeContext) -> Bool? {
        let present = cells[group].by
        let policy = context.policies[form, group].policy
        if policy == .manual { return nil }
        if policy == .owner { return ownerAnswer(group, incoming, context) }
        if context.decided.contains(group) || context.mayCarry { return nil }
        if incoming.by.stamp.origin == present.stamp.origin {
            // What this hub wrote itself came back by a child: what stands here is later. Of others the later word arrives later.
            return present.stamp.origin != context.hub && (policy == .union || incoming.by.ordering >= present.ordering)
        }
        if policy == .newest { return (incoming.by.ordering, incoming.by.stamp.origin) > (present.ordering, present.stamp.origin) }
        // union: a choice that anybody made is made; only two ways of not choosing are left.
        return incoming.values == [.integer(1)] || groupValues(group) == [.null]
    }

    /// Under `newest` an equal word that was typed later moves the time at which it stands: what was typed in between loses to it.
    func isNewerWord(_ group: Int, _ by: Provenance, _ context: JudgeContext) -> Bool {
        context.policies[form, group].policy == .newest && by.ordering > cells[group].by.ordering
            && cells[group].by.stamp.origin != context.hub
    }

    /// The policy `owner` alone: nil where both sides or neither speak for the owner.
    func ownerAnswer(_ group: Int, _ incoming: Candidate, _ context: JudgeContext) -> Bool? {
        let policy = context.policies[form, group]
        guard policy.policy == .owner else { return nil }
        let (mine, theirs) = (
            context.policies.isOwners(cells[group].by, policy.owner), context.policies.isOwners(incoming.by, policy.owner)
        )
        return mine == theirs ? nil : theirs
    }

    /// Somebody else writes over the owner's value having seen it. It is no correction: the owner's value stands, and what is
    /// asked for is a change request. What one child has written over its own word was judged there; what this hub writes is judged here.
    func contradictsOwner(_ group: Int, _ by: Provenance, _ context: JudgeContext) -> Bool {
        let policy = context.policies[form, group]
        guard policy.policy == .owner, cells[group].isWritten, by.writer == .hub || cells[group].by.writer != by.writer else { return false }
        return context.policies.isOwners(cells[group].by, policy.owner) && !context.policies.isOwners(by, policy.owner)
    }

    /// Every judgement is a write: also where the present value stays, it stands at a new position and covers both sides.
    mutating func settle(_ group: Int, by policy: GroupPolicy, _ incoming: Candidate, wins: Bool, _ context: JudgeContext) {
        let before = groupValues(group)
        let present = Candidate(by: cells[group].by, values: before, life: .unchanged, cursor: cells[group].written)
        var winner = wins ? incoming.by : present.by
        // The parent's own word stays the parent's: it need not go up again, where it would meet what the parent wrote since as
        // another's, and is its owner's the next time too.
        if winner.writer != .parent { winner.writer = .hub }
        if wins {
            put(group, incoming.values, by: winner)
            counts.merged += 1
        } else {
            counts.overtaken += 1
            if mutants.contains(.quietPolicy) { return }
            overwritten.append(
                Overwritten(
                    group: form.groups[group].number, values: incoming.values, life: .unchanged,
                    cell: Cell(written: position, shown: position, by: incoming.by)))
            moved = true
            cells[group].written = position
            cells[group].shown = position
            cells[group].by = winner
        }
        rulings.append(
            PolicyRuling(
                group: group, policy: policy, candidates: wins ? [incoming, present] : [present, incoming], before: before,
                position: position, at: context.now))
    }
}

extension Stamp {
    private static let sourceMark = "来源："

    /// The author of what a hub imports from a register.
    package static func author(source: String, user: String) -> String { "\(sourceMark)\(source)（\(user)）" }

    /// The register that the value was imported from; nil for what a person typed.
    var source: String? {
        guard author.hasPrefix(Self.sourceMark), let end = author.lastIndex(of: "（") else { return nil }
        return String(author[..<end].dropFirst(Self.sourceMark.count))
    }
}
