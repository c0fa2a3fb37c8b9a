// How a group with two unseen values is decided: the catalogue's word, and the files of conflicts/policies that override it
// for a form, a field, a school, until a day. Pure data; `PolicyFile` reads it, the hub's judge asks it.

/// A level of the tree; a smaller one stands higher.
package enum Tier: String, Sendable, CaseIterable, Comparable {
    case ministry, province, city, county, school
    private var depth: Int { Self.allCases.firstIndex(of: self)! }
    package static func < (l: Self, r: Self) -> Bool { l.depth < r.depth }
}

/// Whose value stands under the policy `owner` (一数一源).
package enum Owner: Hashable, Sendable, CustomStringConvertible {
    case tier(Tier)
    /// A register that a hub imports from: `zzsync hub import --source NAME`.
    case source(String)

    /// A tier's name is the tier, any other word a source.
    package init(_ word: String) { self = Tier(rawValue: word).map { .tier($0) } ?? .source(word) }

    package var description: String {
        switch self {
        case .tier(let tier): tier.rawValue
        case .source(let name): name
        }
    }
}

/// What decides one group of one form, and who says so.
package struct GroupPolicy: Hashable, Sendable {
    package var policy: Policy
    package var owner: Owner
    /// "catalogue", or file and line of the policy that overrides it.
    package var place: String
    /// Why, in the words of the file; the journal repeats it.
    package var reason: String
    package init(policy: Policy, owner: Owner, place: String = Self.catalogue, reason: String = "") {
        self.policy = policy
        self.owner = owner
        self.place = place
        self.reason = reason
    }
    package static let catalogue = "catalogue"
}

/// One `[[policy]]` block of a file.
package struct PolicyRule: Hashable, Sendable {
    package let form: FormNumber
    /// Group numbers; nil is every group of the form that the policy can decide.
    package let groups: Set<Int>?
    /// A school's code; nil is all schools.
    package let school: String?
    /// The last day on which it counts, as written; nil is for good.
    package let until: String?
    /// Seconds since 1970 at the end of that day.
    package let ends: Int64?
    package let policy: Policy
    /// nil leaves the catalogue's.
    package let owner: Owner?
    package let reason: String
    /// File name and line.
    package let place: String

    package func isInForce(at now: Int64) -> Bool { ends.map { now < $0 } ?? true }

    package func covers(_ group: Group, of form: Form) -> Bool {
        groups?.contains(group.number) ?? (form.objection(to: policy, group) == nil)
    }

    /// The one that names more wins: a school before fields before a form.
    fileprivate var weight: Int { (school == nil ? 0 : 2) + (groups == nil ? 0 : 1) }
}

/// All policy files of a hub, in order of file name and line.
package struct PolicyBook: Sendable {
    package let rules: [PolicyRule]
    /// What lies in the folder and is no policy file by its name: said aloud, for somebody may think that it counts.
    package let unread: [String]
    package init(rules: [PolicyRule] = [], unread: [String] = []) { (self.rules, self.unread) = (rules, unread) }

    /// A sentence about `unread`; nil where everything was read.
    package var warning: String? {
        unread.isEmpty ? nil : "Not read in the policy folder: \(unread.joined(separator: ", ")). Names of policy files end in .toml."
    }

    /// What overrides the catalogue for a school now: form → group number → policy. Of two that name equally much the later
    /// one counts.
    package func overrides(_ catalogue: Catalogue, school: String?, now: Int64) -> [FormNumber: [Int: GroupPolicy]] {
        var found: [FormNumber: [Int: GroupPolicy]] = [:]
        let inForce = rules.filter { $0.isInForce(at: now) && ($0.school == nil || $0.school == school) }
        for weight in 0...3 {
            for rule in inForce where rule.weight == weight {
                guard let form = catalogue[number: rule.form] else { continue }
                for group in form.groups where rule.covers(group, of: form) {
                    found[form.number, default: [:]][group.number] = GroupPolicy(
                        policy: rule.policy, owner: rule.owner ?? group.owner, place: rule.place, reason: rule.reason)
                }
            }
        }
        return found
    }
}

extension Form {
    /// Why a policy cannot decide a group; nil when it can.
    package func objection(to policy: Policy, _ group: Group) -> String? {
        switch policy {
        case .manual, .owner: nil
        case .newest:
            key.contains(where: group.fields.contains)
                ? "the group holds the form's key, which a clock must not decide (use manual or owner)" : nil
        case .union:
            group.fields.count == 1 && fields[group.fields[0]].type == .flag
                ? nil : "union joins the choices of a multi-choice field, which are flags (use manual, owner or newest)"
        }
    }
}
