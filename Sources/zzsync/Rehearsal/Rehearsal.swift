// Plays a case file against the real merge and says what happens; an expectation that does not hold ends it.

import Foundation
import GRDB
import Hub
import Node
import Shared

struct Rehearsal {
    static let verbs = ["put", "add", "delete", "sync", "settle", "take", "expect", "clock"]

    private let file: CaseFile
    private let world: World
    private let tell: (String) -> Void
    /// Alias or form id → form and row.
    private var rows: [String: (form: Form, row: RowID)] = [:]
    private var clocks: [String: Int] = [:]

    /// Every school starts with the example row of every form, held by everybody.
    init(_ file: CaseFile, catalogue: Catalogue, tell: @escaping (String) -> Void) async throws {
        self.file = file
        self.tell = tell
        world = try await World(catalogue: catalogue, nodes: file.nodes)
        for letter in Set(file.nodes.map { String($0.prefix(1)) }).sorted() {
            let name = file.nodes.first { $0.hasPrefix(letter) }!
            let added = try world.node(name).addExamples(author: "初始数据", school: letter)
            if letter == "A" { rows = added }
            for (key, value) in added where letter != "A" { rows["\(letter).\(key)"] = value }
        }
        try await world.settle()
    }

    /// - Throws: `Failure(.refused)` naming the step whose expectation does not hold.
    mutating func play() async throws {
        tell("\(file.title)  (\(file.kind))")
        for (index, step) in file.step.enumerated() {
            do {
                try await play(step)
            } catch let failure as Failure {
                throw Failure(failure.kind, "Step \(index + 1) (\(step.who) \(step.do)): \(failure.what)", next: failure.next)
            }
        }
        tell("as expected")
    }

    private mutating func play(_ step: CaseFile.Step) async throws {
        switch step.do {
        case "put":
            let (form, row) = try target(step)
            try world.node(step.who).change(form, row, try values(step.set, form), author: author(step), years: clocks[step.who] ?? 0)
            tell("\(step.who) writes \(describe(step.set)) in \(form.title)")
        case "add":
            let form = try world.catalogue.form(named: step.form ?? "")
            let row = try world.node(step.who).add(form, try values(step.set, form), author: author(step))
            rows[step.alias ?? form.id] = (form, row)
            tell("\(step.who) adds a row of \(form.title): \(describe(step.set))")
        case "delete":
            let (form, row) = try target(step)
            try world.node(step.who).remove(form, row, author: author(step))
            tell("\(step.who) deletes the row of \(form.title)")
        case "sync":
            try await world.sync(step.who)
            tell("\(step.who) syncs")
        case "settle":
            try await world.settle()
            tell("everybody syncs")
        case "clock":
            clocks[step.who] = step.years ?? 0
            tell("the clock of \(step.who) is \(step.years ?? 0) years off")
        case "take":
            try take(step)
        default:
            try expect(step)
        }
    }

    private func author(_ step: CaseFile.Step) -> String { step.as ?? "\(step.who) 业务员" }

    private func describe(_ values: [String: Scalar]?) -> String {
        (values ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value.value.shown)" }.joined(separator: ", ")
    }

    private func target(_ step: CaseFile.Step) throws -> (form: Form, row: RowID) {
        guard let name = step.row, let found = rows[name] else {
            throw Failure(.usage, "There is no row '\(step.row ?? "")'.", next: "Rows are \(rows.keys.sorted().joined(separator: ", ")).")
        }
        return found
    }

    private func values(_ set: [String: Scalar]?, _ form: Form) throws -> [Int: Value] {
        var values: [Int: Value] = [:]
        for (name, scalar) in set ?? [:] { values[try form.field(named: name)] = scalar.value == .text("") ? .null : scalar.value }
        return values
    }

    // MARK: decisions

    private func take(_ step: CaseFile.Step) throws {
        let desk = OperatorDesk(try world.hub(step.who))
        let (form, row) = try target(step)
        let open = try desk.cases().filter { $0.form == form.id && $0.row == row.description }
        let wanted = (step.take ?? [:]).mapValues(\.value.shown)
        for item in open {
            for candidate in item.candidates {
                let fits = step.life.map { candidate.values["life"] == $0 } ?? (!wanted.isEmpty && wanted.allSatisfy { candidate.values[$0.key] == $0.value })
                guard fits else { continue }
                _ = try desk.take(item.number, candidate: candidate.candidate, reason: step.reason ?? "演练", who: author(step))
                return tell("\(step.who) takes \(step.life ?? describe(step.take)): \(step.reason ?? "演练")")
            }
        }
        throw Failure(.refused, "no open case has that candidate; open are \(open.map(\.candidates))", next: "Compare the file with what happened.")
    }

    // MARK: expectations

    private func expect(_ step: CaseFile.Step) throws {
        if let wanted = step.values {
            let (form, row) = try target(step)
            let found = try stored(step.who, form, row)
            for (name, scalar) in wanted {
                let index = try form.field(named: name)
                let value = scalar.value == .text("") ? Value.null : scalar.value
                try must(found?[index] ?? .null, value, "\(name) at \(step.who)")
            }
        }
        if let exists = step.exists {
            let (form, row) = try target(step)
            try must(try stored(step.who, form, row) != nil, exists, "the row lives at \(step.who)")
        }
        try expectCases(step)
        if let count = step.findings { try must(try world.hub(step.who).findings().filter { $0.level == "error" }.count, count, "findings at \(step.who)") }
        if let agree = step.agree {
            for letter in Set(file.nodes.map { String($0.prefix(1)) }) {
                let digests = try world.digests(school: letter)
                try must(Set(digests.values).count == 1, agree, "all replicas of school \(letter) hold the same")
            }
        }
        tell("  as expected at \(step.who)")
    }

    private func expectCases(_ step: CaseFile.Step) throws {
        guard step.cases != nil || step.caseKind != nil || step.candidates != nil else { return }
        let open = try OperatorDesk(try world.hub(step.who)).cases()
        if let count = step.cases { try must(open.count, count, "open cases at \(step.who)") }
        if let kind = step.caseKind { try must(open.map(\.kind).contains(kind), true, "a case of kind \(kind)") }
        if let candidates = step.candidates {
            let found = open.flatMap(\.candidates).map { candidate in
                candidate.values.sorted { $0.key < $1.key }.map(\.value).joined(separator: " | ")
            }
            try must(found.sorted(), candidates.sorted(), "candidates")
        }
    }

    private func must<T: Equatable>(_ found: T, _ wanted: T, _ what: String) throws {
        guard found == wanted else {
            throw Failure(.refused, "\(what): found \(found), must be \(wanted).", next: "Either the file or the merge is wrong.")
        }
    }

    /// The row's values at a node or hub; nil when it does not live there.
    private func stored(_ who: String, _ form: Form, _ row: RowID) throws -> [Value]? {
        if world.hubs[who] != nil { return try world.hub(who).values(form, row) }
        return try world.node(who).values(form, row)
    }
}
