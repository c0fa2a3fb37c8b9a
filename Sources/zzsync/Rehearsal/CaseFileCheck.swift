// A case file under the reader's eyes, before anything of it is played: each mistake has its line and the words that are allowed there.

import Foundation
import Shared
import TOMLKit

struct CaseFileCheck {
    let table: TOMLTable
    let text: String
    let path: String
    let catalogue: Catalogue
    /// Nodes so far, clones with them.
    private var nodes: [String] = []
    private static let hubs = ["province", "ministry"]

    init(_ table: TOMLTable, text: String, path: String, catalogue: Catalogue) {
        (self.table, self.text, self.path, self.catalogue) = (table, text, path, catalogue)
    }

    /// - Returns: versions of the catalogue by name.
    mutating func check() throws(Failure) -> [String: Catalogue] {
        try checkHead()
        nodes = try checkedNodes()
        let versions = try checkedVersions()
        try checkSteps(versions.keys.sorted())
        return versions
    }

    private func failure(_ line: Int?, _ what: String, next: String) -> Failure {
        Failure(.usage, "\(path), line \(line ?? 1): \(what).", next: next)
    }

    private func word(_ word: String, among allowed: [String], line: Int?, what: String, plural: String) throws(Failure) {
        guard !allowed.contains(word) else { return }
        throw failure(line, "'\(word)' is no \(what)", next: allowed.isEmpty ? "There are none here." : "\(plural) are \(allowed.joined(separator: ", ")).")
    }

    // MARK: the head

    private func checkHead() throws(Failure) {
        for key in table.keys.sorted() {
            try word(key, among: CaseFile.keys, line: lineOf(key: key, in: text), what: "key of a case file", plural: "Keys")
        }
        for key in ["title", "kind", "story", "nodes", "step"] where table[key] == nil {
            throw failure(nil, "'\(key)' is missing", next: "A case file has title, kind, story, nodes and steps, each in a block [[step]].")
        }
        for key in ["title", "kind", "story", "row"] {
            guard let value = table[key], value.string == nil else { continue }
            throw failure(lineOf(key: key, in: text), "'\(key)' is not a text", next: "Write \(key) = \"...\".")
        }
        try word(table["kind"]?.string ?? "", among: CaseFile.kinds, line: lineOf(key: "kind", in: text), what: "kind of case", plural: "Kinds")
        for key in ["step", "version"] {
            guard let value = table[key] else { continue }
            guard let blocks = value.array, !blocks.isEmpty, blocks.allSatisfy({ $0.table != nil }) else {
                throw failure(lineOf(key: key, in: text), "'\(key)' is no list of blocks", next: "Begin each \(key) with [[\(key)]].")
            }
        }
    }

    /// A node's letter is its school, its number the machine there.
    private func isNode(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        return 2...3 ~= bytes.count && 0x41...0x5A ~= bytes[0] && 0x31...0x39 ~= bytes[1] && bytes.dropFirst(2).allSatisfy { 0x30...0x39 ~= $0 }
    }

    private func checkedNodes() throws(Failure) -> [String] {
        let line = lineOf(key: "nodes", in: text)
        let names = table["nodes"]?.array?.compactMap { $0.string } ?? []
        guard !names.isEmpty, names.count == table["nodes"]?.array?.count else {
            throw failure(line, "'nodes' is not a list of names", next: "Write nodes = [\"A1\", \"A2\"].")
        }
        for (index, name) in names.enumerated() {
            guard isNode(name) else {
                throw failure(
                    line, "'\(name)' is no name of a node",
                    next: "A node is a letter, its school's, and a number: A1 and A2 of one school, B1 of another. province and ministry are always there.")
            }
            guard !names[..<index].contains(name) else { throw failure(line, "'\(name)' stands there twice", next: "Name each node once.") }
        }
        return names
    }

    // MARK: versions of the catalogue

    private func checkedVersions() throws(Failure) -> [String: Catalogue] {
        var versions: [String: Catalogue] = [:]
        for (index, block) in (table["version"]?.array ?? TOMLArray()).enumerated() {
            guard let block = block.table else { continue }
            func line(_ key: String?) -> Int? { lineOf(table: "version", index: index, key: key, in: text) }
            for key in block.keys.sorted() {
                try word(key, among: VersionEdits.keys, line: line(key), what: "key of a version", plural: "Keys")
                guard let known = VersionEdits.partKeys[key] else { continue }
                for part in (block[key]?.array ?? TOMLArray()).compactMap({ $0.table }) {
                    for word in part.keys.sorted() { try self.word(word, among: known, line: line(key), what: "key of \(key)", plural: "Keys") }
                }
            }
            for site in block["sites"]?.array?.compactMap({ $0.string }) ?? [] {
                try word(site, among: nodes + Self.hubs, line: line("sites"), what: "node or hub of this rehearsal", plural: "They")
            }
            let edits: VersionEdits
            do { edits = try TOMLDecoder().decode(VersionEdits.self, from: block) } catch {
                throw failure(line(nil), "the version cannot be read: \(CatalogueLoader.describe(error, in: text))", next: "conflicts/README.md describes its keys.")
            }
            guard versions[edits.name] == nil else { throw failure(line("name"), "there are two versions '\(edits.name)'", next: "Name each once.") }
            if let trouble = edits.trouble(catalogue) { throw failure(line(trouble.key), trouble.what, next: trouble.next) }
            do throws(Failure) { versions[edits.name] = try edits.compile(from: catalogue) } catch {
                throw failure(line(nil), "the version '\(edits.name)' is no catalogue: \(error.what)", next: "Mend the version's fields, groups or forms.")
            }
        }
        return versions
    }

    // MARK: steps

    private mutating func checkSteps(_ versions: [String]) throws(Failure) {
        var aliases: Set<String> = []
        for (index, block) in (table["step"]?.array ?? TOMLArray()).enumerated() {
            guard let step = block.table else { continue }
            func line(_ key: String?) -> Int? { lineOf(table: "step", index: index, key: key, in: text) }
            for key in step.keys.sorted() {
                try word(key, among: CaseFile.Step.CodingKeys.allCases.map(\.rawValue), line: line(key), what: "key of a step", plural: "Keys")
            }
            for key in ["who", "do"] where step[key]?.string == nil {
                throw failure(line(key), "the step does not say '\(key)', a text", next: "who is a node or hub, do is one of \(Rehearsal.verbs.joined(separator: ", ")).")
            }
            let verb = step["do"]!.string!
            try word(verb, among: Rehearsal.verbs, line: line("do"), what: "step", plural: "Steps")
            try checkKeys(step, verb, line)
            try checkActor(step["who"]!.string!, StepWords.of[verb]!.actor, line("who"))
            if let to = step["to"]?.string { try word(to, among: versions, line: line("to"), what: "version", plural: "Versions") }
            guard let alias = step["alias"]?.string else { continue }
            if verb == "clone" {
                guard isNode(alias), alias.first == step["who"]!.string!.first, !nodes.contains(alias) else {
                    throw failure(line("alias"), "'\(alias)' is no name for the second machine", next: "Choose one that is free, of the same school; there are \(nodes.joined(separator: ", ")).")
                }
                nodes.append(alias)
            } else if !aliases.insert(alias).inserted {
                throw failure(line("alias"), "there are two rows '\(alias)'", next: "Choose another alias: later steps could not name the first.")
            }
        }
    }

    private func checkKeys(_ step: TOMLTable, _ verb: String, _ line: (String?) -> Int?) throws(Failure) {
        let words = StepWords.of[verb]!
        for key in step.keys.sorted() where !words.keys.contains(key) {
            throw failure(line(key), "'\(key)' does nothing in the step '\(verb)'", next: "Its keys are \(words.keys.joined(separator: ", ")).")
        }
        for one in words.needed where !one.contains(where: { step[$0] != nil && step[$0]?.table?.isEmpty != true }) {
            throw failure(line("do"), "the step '\(verb)' says no \(one.joined(separator: ", "))", next: "Add \(one.count == 1 ? "it" : "one of them").")
        }
        if let school = step["school"]?.string {
            try word(school, among: Set(nodes.map { String($0.prefix(1)) }).sorted(), line: line("school"), what: "school of this rehearsal", plural: "Schools")
        }
        if step["rows"] != nil, step["form"] == nil { throw failure(line("rows"), "'rows' counts the rows of a form, and none is named", next: "Add form = \"...\".") }
        for (key, range) in StepWords.ranges.sorted(by: { $0.key < $1.key }) {
            guard let number = step[key]?.int, !range.contains(number) else { continue }
            throw failure(line(key), "\(key) = \(number) cannot be", next: "It goes from \(range.lowerBound) to \(range.upperBound).")
        }
        for (key, allowed) in StepWords.allowed.sorted(by: { $0.key < $1.key }) {
            if let value = step[key]?.string { try word(value, among: allowed, line: line(key), what: key, plural: "Words") }
        }
    }

    private func checkActor(_ who: String, _ actor: StepWords.Actor, _ line: Int?) throws(Failure) {
        let (allowed, what) =
            switch actor {
            case .node: (nodes, "node")
            case .hub: (Self.hubs, "hub")
            case .child: (nodes + ["province"], "node or hub with a parent")
            case .anyone: (nodes + Self.hubs, "node or hub")
            case .everyone: (["everyone"], "word for all of them")
            }
        try word(who, among: allowed, line: line, what: "\(what) of this rehearsal", plural: "They")
    }
}
