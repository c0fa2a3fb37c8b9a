// conflicts/policies/*.toml in, a `PolicyBook` out. Provinces write these files: every mistake names file, line and the words
// that are allowed there, and a hub with a wrong file does not start.

import Foundation
import TOMLKit

package enum PolicyFile {
    /// The keys of a `[[policy]]` block.
    private static let keys = ["form", "fields", "school", "until", "policy", "owner", "source", "reason"]

    /// What a folder holds: the policy files in order of their names, and what is none by its name. A hidden file is one that some program
    /// has left there.
    package static func names(folder: String) throws(Failure) -> (read: [String], unread: [String]) {
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: folder) else {
            throw Failure(.usage, "The policy folder \(folder) cannot be read.", next: "Check its permissions.")
        }
        let read = names.filter { $0.lowercased().hasSuffix(".toml") && !$0.hasPrefix(".") }
        return (read.sorted(), Set(names).subtracting(read).sorted())
    }

    /// All files of a folder, in order of their names; an absent folder holds none.
    package static func load(folder: String, catalogue: Catalogue) throws(Failure) -> PolicyBook {
        guard FileManager.default.fileExists(atPath: folder) else { return PolicyBook() }
        let names = try names(folder: folder)
        var rules: [PolicyRule] = []
        for name in names.read {
            let path = folder + "/" + name
            rules += try parse(try TextFile.read(path), path: path, catalogue: catalogue)
        }
        return PolicyBook(rules: rules, unread: names.unread)
    }

    /// One file's policies.
    package static func parse(_ text: String, path: String, catalogue: Catalogue) throws(Failure) -> [PolicyRule] {
        let table: TOMLTable
        do {
            table = try TOMLTable(string: text)
        } catch let error as TOMLParseError {
            throw Failure(.usage, "\(path), line \(error.source.begin.line): \(error.description).", next: "Mend the TOML there.")
        } catch {
            throw Failure(.usage, "\(path): \(error)", next: "Mend the TOML there.")
        }
        for key in table.keys where key != "policy" {
            let line = lineOf(key: key, in: text) ?? 1
            throw Failure(.usage, "\(path), line \(line): '\(key)' is no key of a policy file.", next: "A file holds [[policy]] blocks alone.")
        }
        return try rules(in: table, text: text, path: path, catalogue: catalogue)
    }

    /// The `[[policy]]` blocks of a file that may hold other things.
    package static func rules(
        in table: TOMLTable, text: String, path: String, catalogue: Catalogue
    ) throws(Failure) -> [PolicyRule] {
        guard let present = table["policy"] else { return [] }
        let blocks = (present.array ?? TOMLArray()).compactMap { $0.table }
        guard !blocks.isEmpty, blocks.count == present.array?.count else {
            let line = lineOf(key: "policy", in: text) ?? 1
            throw Failure(.usage, "\(path), line \(line): 'policy' is no list of blocks.", next: "Begin each policy with [[policy]].")
        }
        var rules: [PolicyRule] = []
        for (index, block) in blocks.enumerated() {
            rules.append(try PolicyBlock(table: block, index: index, text: text, path: path, catalogue: catalogue).rule(keys: keys))
        }
        return rules
    }
}

/// One `[[policy]]` block under the reader's eyes.
private struct PolicyBlock {
    let table: TOMLTable
    let index: Int
    let text: String
    let path: String
    let catalogue: Catalogue

    func rule(keys: [String]) throws(Failure) -> PolicyRule {
        for key in table.keys where !keys.contains(key) {
            throw failure(key, "'\(key)' is no key of a policy", next: "Keys are \(keys.joined(separator: ", ")).")
        }
        let form = try self.form()
        let policy = try self.policy()
        let groups = try self.groups(form, policy)
        let until = try self.until()
        return PolicyRule(
            form: form.number, groups: groups, school: try school(), until: until?.text, ends: until?.ends, policy: policy,
            owner: try owner(policy), reason: try word("reason") ?? "",
            place: "\(path.split(separator: "/").last.map(String.init) ?? path), line \(line(nil))")
    }

    private func line(_ key: String?) -> Int { lineOf(table: "policy", index: index, key: key, in: text) ?? 0 }

    private func failure(_ key: String?, _ what: String, next: String) -> Failure {
        Failure(.usage, "\(path), line \(line(key)): \(what).", next: next)
    }

    private func word(_ key: String) throws(Failure) -> String? {
        guard let value = table[key] else { return nil }
        guard let text = value.string, !text.allSatisfy(\.isWhitespace) else {
            throw failure(key, "'\(key)' is not a text", next: "Write \(key) = \"...\".")
        }
        return text
    }

    private func form() throws(Failure) -> Form {
        guard let name = try word("form") else {
            throw failure(nil, "the policy names no form", next: "Add form = \"...\": an id, a path or a title.")
        }
        do throws(Failure) { return try catalogue.form(named: name) } catch {
            let near = error.next.hasPrefix("Did you mean") ? error.next.split(separator: "?")[0] + "? " : ""
            throw failure(
                "form", "there is no form '\(name)'", next: near + "Forms are \(catalogue.forms.map(\.title).joined(separator: ", ")).")
        }
    }

    private func policy() throws(Failure) -> Policy {
        let allowed = Policy.allCases.map(\.rawValue).joined(separator: ", ")
        guard let name = try word("policy") else {
            throw failure(nil, "the block says no policy", next: "Add policy = \"...\": \(allowed).")
        }
        guard let policy = Policy(rawValue: name) else {
            throw failure("policy", "'\(name)' is no policy", next: "Policies are \(allowed).")
        }
        return policy
    }

    /// The groups of the fields that are named; a field decides for its whole group.
    private func groups(_ form: Form, _ policy: Policy) throws(Failure) -> Set<Int>? {
        guard let value = table["fields"] else {
            let objections = form.groups.map { form.objection(to: policy, $0) }
            guard objections.contains(nil) else {
                throw failure("policy", "'\(policy.rawValue)' can decide nothing in \(form.title)", next: "Here \(objections[0]!).")
            }
            return nil
        }
        let names = value.array?.compactMap { $0.string } ?? []
        guard !names.isEmpty, names.count == value.array?.count else {
            throw failure("fields", "'fields' is not a list of texts", next: "Write fields = [\"...\", \"...\"].")
        }
        var numbers: Set<Int> = []
        for name in names {
            guard let group = form.groups.first(where: { group in
                group.name == name || group.fields.contains { form.fields[$0].id == name || form.fields[$0].title == name }
            }) else {
                let words = form.fields.map(\.title) + form.groups.filter { $0.fields.count > 1 }.map(\.name)
                let near = nearest(name, among: words + form.fields.map(\.id)).map { "Did you mean '\($0)'? " } ?? ""
                throw failure(
                    "fields", "\(form.title) has no field or group '\(name)'", next: near + "There are \(words.joined(separator: ", ")).")
            }
            if let objection = form.objection(to: policy, group) {
                throw failure("policy", "'\(policy.rawValue)' cannot decide '\(name)'", next: "Here \(objection).")
            }
            numbers.insert(group.number)
        }
        return numbers
    }

    private func school() throws(Failure) -> String? {
        guard let code = try word("school") else { return nil }
        guard code.utf8.count == 10, code.utf8.allSatisfy({ 0x30...0x39 ~= $0 }) else {
            throw failure("school", "'\(code)' is no school code", next: "A school code (学校标识码) has 10 digits.")
        }
        return code
    }

    /// The last day, as a TOML date or a text; it ends when the day ends in China.
    private func until() throws(Failure) -> (text: String, ends: Int64)? {
        guard let value = table["until"] else { return nil }
        let parts =
            value.date.map { [$0.year, $0.month, $0.day] }
            ?? (value.string ?? "").split(separator: "-", omittingEmptySubsequences: false).map { Int($0) ?? -1 }
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = TimeZone(secondsFromGMT: 8 * 3_600)!
        guard parts.count == 3, 2000...9999 ~= parts[0],
            case let day = DateComponents(year: parts[0], month: parts[1], day: parts[2]), day.isValidDate(in: calendar),
            let start = calendar.date(from: day)
        else {
            throw failure("until", "'until' is no date", next: "Write the last day on which it counts, for example until = 2026-12-31.")
        }
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return ("\(parts[0])-\(two(parts[1]))-\(two(parts[2]))", Int64(start.timeIntervalSince1970) + 86_400)
    }

    private func owner(_ policy: Policy) throws(Failure) -> Owner? {
        let (tier, source) = (try word("owner"), try word("source"))
        guard let key = tier != nil ? "owner" : source != nil ? "source" : nil else { return nil }
        guard policy == .owner else {
            throw failure(key, "'\(key)' belongs to the policy owner alone", next: "Write policy = \"owner\", or leave it out.")
        }
        guard tier == nil || source == nil else {
            throw failure("source", "a value has one owner, a tier or a source", next: "Leave out owner or source.")
        }
        if let source { return .source(source) }
        guard let known = Tier(rawValue: tier!) else {
            throw failure(
                "owner", "'\(tier!)' is no tier",
                next: "Owners are \(Tier.allCases.map(\.rawValue).joined(separator: ", ")); a register is named by source = \"...\".")
        }
        return .tier(known)
    }
}
