// Which of the open cases: words "key=value", all of which must hold. A value may be several, separated by commas, and `*` stands
// for any text. Described in conflicts/README.md. A value that no case can ever have (a kind, form, field, answer, number or school that
// there is not) is a slip of the pen: refused, since "0 cases" would read as "nothing is left to do".

import GRDB
import Shared

package struct CaseFilter: Sendable {
    package static let keys = [
        "form", "field", "kind", "school", "key", "old", "new", "author", "site", "import", "returned", "answered", "case",
    ]

    package static let kinds = ["cell", "life", "twins", "owner", "rule", "clone"]

    private struct Condition: Sendable {
        let key: String
        let patterns: [String]
    }
    private var conditions: [Condition] = []
    /// Writes of one import have one author, site and time, give or take what a slow disk needs for 5,000 rows.
    private var imports: [(author: String, site: String, time: Int64)] = []
    private static let importSeconds: Int64 = 120

    package init() {}

    init(form: String?, school: String?, kind: String?) {
        for (key, value) in [("form", form), ("school", school), ("kind", kind)] {
            if let value { conditions.append(Condition(key: key, patterns: [value])) }
        }
    }

    /// - Throws: `Failure(.usage)` that names the word and the keys that there are.
    package init(_ words: [String], catalogue: Catalogue) throws(Failure) {
        for word in words {
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 2, Self.keys.contains(parts[0]) else {
                throw Failure(
                    .usage, "'\(word)' is no filter of cases.", next: "Filters are KEY=VALUE, keys are \(Self.keys.joined(separator: ", ")).")
            }
            // A value may hold a comma of its own; forms, schools and kinds do not.
            let isText = ["old", "new", "key"].contains(parts[0])
            let patterns = isText ? [parts[1]] : parts[1].split(separator: ",", omittingEmptySubsequences: false).map(String.init)
            var known: [String] = []
            for pattern in patterns { known += try Self.known(pattern, parts[0], catalogue) }
            conditions.append(Condition(key: parts[0], patterns: known))
        }
    }

    /// The patterns that a typed one stands for, forms and fields by their ids.
    private static func known(_ text: String, _ key: String, _ catalogue: Catalogue) throws(Failure) -> [String] {
        switch key {
        case "form" where text.contains("*"):
            let forms = catalogue.forms.filter { form in [form.id, form.title, form.path].contains { matches($0, text) } }
            guard !forms.isEmpty else { throw Failure(.usage, "There is no form '\(text)'.", next: "`zzsync forms` lists them.") }
            return forms.map(\.id)
        case "form":
            return [try catalogue.form(named: text).id]
        case "field":
            let columns = catalogue.forms.flatMap { form in
                form.fields.filter { matches($0.id, text) || matches($0.title, text) }.map { column($0.id, form.id) }
            }
            guard !columns.isEmpty else {
                throw Failure(.usage, "No form has a field '\(text)'.", next: "`zzsync forms FORM` lists the fields of a form.")
            }
            return columns
        case "kind": try check(kinds.contains { matches($0, text) }, text, "kind of case", "Kinds are \(kinds.joined(separator: ", ")).")
        case "returned", "answered": try check(["yes", "no"].contains(text), text, "value of \(key)", "Write \(key)=yes or \(key)=no.")
        case "case":
            try check(Int64(text) != nil, text, "number of a case", "Write its number, or several: case=17,18.")
            return ["\(Int64(text)!)"]
        default: break
        }
        return [text]
    }

    private static func check(_ isKnown: Bool, _ text: String, _ what: String, _ next: String) throws(Failure) {
        guard isKnown else { throw Failure(.usage, "'\(text)' is no \(what).", next: next) }
    }

    /// Two forms may call different things by one name.
    private static func column(_ field: String, _ form: String) -> String { "\(form) \(field)" }

    /// With the schools checked and the imports looked up: "17/2" is the one that candidate 2 of case 17 came from.
    func resolved(_ desk: OperatorDesk, _ db: Database) throws -> CaseFilter {
        var filter = self
        for condition in conditions where condition.key == "school" { try checkSchools(condition.patterns, db) }
        for condition in conditions where condition.key == "case" {
            for number in condition.patterns.compactMap({ Int64($0) }) { _ = try desk.entry(db, number) }
        }
        for condition in conditions where condition.key == "import" {
            for pattern in condition.patterns {
                let parts = pattern.split(separator: "/").compactMap { Int64($0) }
                let sides = parts.count == 2 ? try desk.view(db, try desk.entry(db, parts[0])).sides : []
                guard parts.count == 2, sides.indices.contains(Int(parts[1]) - 1) else {
                    throw Failure(
                        .usage, "'import=\(pattern)' names no candidate.", next: "Write CASE/CANDIDATE: the import that it came from.")
                }
                let side = sides[Int(parts[1]) - 1]
                filter.imports.append((side.author, side.site, side.time))
            }
        }
        return filter
    }

    private func checkSchools(_ patterns: [String], _ db: Database) throws {
        let known = try Row.fetchAll(db, sql: "SELECT scope, json_extract(school, '$.code') AS code FROM zz_scope")
            .flatMap { [$0["code"] as String? ?? "", ScopeID(key: $0["scope"]).description] }
        for pattern in patterns where !known.contains(where: { Self.matches($0, pattern) }) {
            throw Failure(.usage, "This hub knows no school with code \(pattern).", next: "`zzsync hub schools` lists them.")
        }
    }

    func matches(_ item: CaseView) -> Bool { conditions.allSatisfy { holds($0, item) } }

    private func holds(_ condition: Condition, _ item: CaseView) -> Bool {
        func any(_ texts: [String]) -> Bool { condition.patterns.contains { pattern in texts.contains { Self.matches($0, pattern) } } }
        let sides = item.sides
        return switch condition.key {
        case "form": any([item.form])
        case "field": any(item.group.map { Self.column($0, item.form) })
        case "kind": any([item.kind])
        case "school": any([item.school] + (item.otherSchool.map { [$0] } ?? []))
        case "key": any([item.key])
        case "old": any(item.base.map { Array($0.values) } ?? [])
        case "new": any(sides.flatMap { Array($0.values.values) })
        case "author": any(sides.map(\.author))
        case "site": any(sides.map(\.site) + item.candidates.flatMap { [$0.from] + ($0.child.map { [$0] } ?? []) })
        case "returned": any([item.isReturned ? "yes" : "no"])
        case "answered": any([item.isAnswered ? "yes" : "no"])
        case "case": any(["\(item.number)"])
        default:
            imports.contains { one in
                // As claimed: two wrong clocks may lie further apart than a number of seconds can say.
                sides.contains { $0.author == one.author && $0.site == one.site && abs(Double($0.time) - Double(one.time)) <= Double(Self.importSeconds) }
            }
        }
    }

    /// `*` stands for any text, also none.
    static func matches(_ text: String, _ pattern: String) -> Bool {
        let parts = pattern.split(separator: "*", omittingEmptySubsequences: false)
        guard parts.count > 1 else { return text == pattern }
        var rest = Substring(text)
        guard rest.hasPrefix(parts[0]) else { return false }
        rest = rest.dropFirst(parts[0].count)
        for part in parts.dropFirst().dropLast() where !part.isEmpty {
            guard let found = rest.firstRange(of: part) else { return false }
            rest = rest[found.upperBound...]
        }
        return rest.hasSuffix(parts.last!)
    }
}

/// Which side of a case: what an operator says once for three hundred of them.
package enum Side: Hashable, Sendable {
    case newest, oldest, present, parent, hub, answer
    case site(String), author(String), value(String)
    case alive, dead
    case choice(Choice)

    package static let words =
        "newest, oldest, present, parent, hub, answer, site=…, author=…, value=…, alive, dead, merge, distinct, return"

    package init(_ word: String) throws(Failure) {
        let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        switch (parts[0], parts.count == 2 ? parts[1] : nil) {
        case ("newest", nil): self = .newest
        case ("oldest", nil): self = .oldest
        case ("present", nil): self = .present
        case ("parent", nil): self = .parent
        case ("hub", nil): self = .hub
        case ("answer", nil): self = .answer
        case ("alive", nil): self = .alive
        case ("dead", nil): self = .dead
        case ("merge", nil): self = .choice(.merge)
        case ("distinct", nil): self = .choice(.distinct)
        case ("return", nil): self = .choice(.handBack)
        case ("site", let name?): self = .site(name)
        case ("author", let name?): self = .author(name)
        case ("value", let text?): self = .value(text)
        default: throw Failure(.usage, "'\(word)' names no side of a case.", next: "Sides are \(Self.words).")
        }
    }

    /// - Throws: `Failure(.refused)` when no candidate is on this side, or several that say different things.
    func choose(_ item: CaseView) throws(Failure) -> Choice {
        if case .choice(let choice) = self { return choice }
        let fitting = item.candidates.filter { fits($0, item) }
        let chosen: CandidateView?
        switch self {
        case .newest: chosen = fitting.max { ($0.clamped ?? $0.time, $0.candidate) < ($1.clamped ?? $1.time, $1.candidate) }
        case .oldest: chosen = fitting.min { ($0.clamped ?? $0.time, $0.candidate) < ($1.clamped ?? $1.time, $1.candidate) }
        case .value,
            .answer where !item.confirmed.isEmpty:
            guard Set(fitting.map(\.values)).count <= 1 else { throw Self.isSeveral }
            chosen = fitting.last
        // A later word of the same writer says what it means now; two writers are two sides, whatever they are called.
        default:
            var newest: [String: CandidateView] = [:]
            for candidate in fitting { newest[candidate.child ?? candidate.from] = candidate }
            guard Set(newest.values.map(\.values)).count <= 1 else { throw Self.isSeveral }
            chosen = fitting.last
        }
        guard let chosen else {
            throw Failure(.refused, "No candidate is on this side.", next: "Take another side, or decide the case by itself.")
        }
        return .candidate(chosen.candidate)
    }

    private static let isSeveral = Failure(
        .refused, "More than one candidate is on this side, and they differ.",
        next: "Name one of them, a site by its id as `show` prints it, or decide the case by itself.")

    private func fits(_ candidate: CandidateView, _ item: CaseView) -> Bool {
        switch self {
        case .newest, .oldest: true
        case .present: item.group.isEmpty ? candidate.values["life"] == "alive" : candidate.values == item.shown
        case .parent: candidate.from == "parent"
        case .hub: candidate.from == "this hub"
        case .answer: candidate.answers || item.confirmed.contains { candidate.says($0.confirmed) }
        case .site(let name): CaseFilter.matches(candidate.from, name) || candidate.site == name || candidate.child == name
        case .author(let name): CaseFilter.matches(candidate.author, name)
        case .value(let text): candidate.values.values.contains { CaseFilter.matches($0, text) }
        case .alive: candidate.values["life"] == "alive"
        case .dead: candidate.values["life"] == "dead"
        case .choice: false
        }
    }
}

extension CandidateView {
    fileprivate func says(_ confirmed: [String: String]) -> Bool { !confirmed.isEmpty && confirmed.allSatisfy { values[$0] == $1 } }
}
