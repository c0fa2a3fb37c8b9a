// Plays a case file against the real merge and says what happens; an expectation that does not hold ends it.

import Foundation
import GRDB
import Hub
import Node
import Shared

struct Rehearsal {
    static let verbs = ["put", "add", "delete", "sync", "push", "fetch", "settle", "take", "expect", "clock", "wait"]

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

    /// - Throws: `Failure` that names file, line and step; `.refused` when an expectation does not hold.
    mutating func play() async throws {
        tell("\(file.title)  (\(file.kind))")
        for (index, step) in file.step.enumerated() {
            do {
                if let note = step.note { tell("  \(note)") }
                try await play(step)
            } catch let failure as Failure {
                throw Failure(
                    failure.kind, "\(file.path), line \(file.lines[index]): step \(index + 1) (\(step.who) \(step.do)): \(failure.what)",
                    next: failure.next)
            }
        }
        try checkCounts()
        tell("as expected")
    }

    private mutating func play(_ step: CaseFile.Step) async throws {
        switch step.do {
        case "put":
            let (form, row) = try target(step)
            try put(step, form, row, try values(step.set, form))
            tell("\(step.who) writes \(describe(step.set)) in \(form.title)")
        case "add":
            let form = try world.catalogue.form(named: step.form ?? "")
            rows[step.alias ?? form.id] = (form, try add(step, form, try values(step.set, form)))
            tell("\(step.who) adds a row of \(form.title): \(describe(step.set))")
        case "delete":
            let (form, row) = try target(step)
            try delete(step, form, row)
            tell("\(step.who) deletes the row of \(form.title)")
        case "sync":
            try await world.sync(step.who)
            tell("\(step.who) syncs")
        case "push":
            try await world.push(step.who)
            tell("\(step.who) sends; the line breaks before it fetches")
        case "fetch":
            try await world.fetch(step.who)
            tell("\(step.who) fetches; the line breaks before it sends")
        case "settle":
            try await world.settle()
            tell("everybody syncs")
        case "clock":
            clocks[step.who] = step.years ?? 0
            tell("the clock of \(step.who) is \(step.years ?? 0) years off")
        case "wait":
            world.clock.advance(days: step.days ?? 0)
            tell("\(step.days ?? 0) days go by")
        case "take":
            try take(step)
        default:
            try expect(step)
        }
    }

    // MARK: writes

    /// How far the writer's clock is from the real one, in seconds.
    private func skew(_ step: CaseFile.Step) -> Int64 {
        world.clock.offset + Int64(clocks[step.who] ?? 0) * 31_556_952
    }

    private func put(_ step: CaseFile.Step, _ form: Form, _ row: RowID, _ values: [Int: Value]) throws {
        if world.hubs[step.who] != nil {
            try world.hub(step.who).change(form, row, values, author: author(step), now: world.clock.now)
        } else {
            try world.node(step.who).change(form, row, values, author: author(step), skew: skew(step))
        }
    }

    private func add(_ step: CaseFile.Step, _ form: Form, _ values: [Int: Value]) throws -> RowID {
        try world.node(step.who).add(form, values, author: author(step), skew: skew(step))
    }

    private func delete(_ step: CaseFile.Step, _ form: Form, _ row: RowID) throws {
        if world.hubs[step.who] != nil {
            try world.hub(step.who).remove(form, row, author: author(step), now: world.clock.now)
        } else {
            try world.node(step.who).remove(form, row, author: author(step), skew: skew(step))
        }
    }

    private func author(_ step: CaseFile.Step) -> String {
        step.as ?? (world.hubs[step.who] == nil ? "\(step.who) 业务员" : "\(step.who) 操作员")
    }

    private func describe(_ values: [String: Scalar]?) -> String {
        (values ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value.value.shown)" }.joined(separator: ", ")
    }

    private func target(_ step: CaseFile.Step) throws -> (form: Form, row: RowID) {
        let name = step.row ?? file.row ?? ""
        if let found = rows[name] { return found }
        // A form's title, or that of another school: "B.班级信息".
        let parts = name.split(separator: ".", maxSplits: 1).map(String.init)
        let isOther = parts.count == 2 && parts[0].count == 1
        if let form = try? world.catalogue.form(named: isOther ? parts[1] : name),
            let found = rows[isOther ? "\(parts[0]).\(form.id)" : form.id]
        {
            return found
        }
        throw Failure(.usage, "There is no row '\(name)'.", next: "Rows are \(rows.keys.sorted().joined(separator: ", ")).")
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
        var wanted: [String: String] = [:]
        for (name, scalar) in step.take ?? [:] { wanted[form.fields[try form.field(named: name)].id] = scalar.value.shown }
        for item in open {
            for candidate in item.candidates {
                let fits = step.life.map { candidate.values["life"] == $0 } ?? (!wanted.isEmpty && wanted.allSatisfy { candidate.values[$0.key] == $0.value })
                guard fits else { continue }
                _ = try desk.take(item.number, candidate: candidate.candidate, Verdict(who: author(step), reason: step.reason ?? "演练"))
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
        try expectPaper(step)
        if let agree = step.agree {
            for letter in Set(file.nodes.map { String($0.prefix(1)) }) {
                let digests = try world.digests(school: letter)
                try must(Set(digests.values).count == 1, agree, "all replicas of school \(letter) hold the same")
            }
        }
        tell("  as expected at \(step.who)")
    }

    /// What a hub keeps beside the values: findings, history, authors, the journal; and the disputed rows that a node shows.
    private func expectPaper(_ step: CaseFile.Step) throws {
        if step.findings != nil || step.rules != nil {
            let found = try world.hub(step.who).findings().filter { $0.level == "error" }.map(\.rule)
            if let count = step.findings { try must(found.count, count, "findings at \(step.who)") }
            if let rules = step.rules { try must(found.sorted(), rules.sorted(), "rules broken at \(step.who)") }
        }
        for (name, wanted) in step.history ?? [:] {
            let (form, row) = try target(step)
            let old = try world.hub(step.who).history(form, row, field: try form.field(named: name))
            try must(old, wanted.map { $0.value == .text("") ? .null : $0.value }, "history of \(name) at \(step.who)")
        }
        for (name, wanted) in step.author ?? [:] {
            let (form, row) = try target(step)
            try must(
                try world.hub(step.who).author(form, row, field: try form.field(named: name)), wanted, "author of \(name) at \(step.who)")
        }
        if let count = step.journal {
            try must(try OperatorDesk(try world.hub(step.who)).journal().count, count, "entries of the journal at \(step.who)")
        }
        if let count = step.disputed { try must(try world.node(step.who).status().openCases, count, "disputed rows at \(step.who)") }
    }

    /// At every hub: cells sent = merged + equal + disputed + overtaken.
    private func checkCounts() throws {
        for (name, tier) in world.hubs {
            let cells = try tier.home.status().cells
            let ended = ["merged", "equal", "disputed", "overtaken"].reduce(0) { $0 + (cells[$1] ?? 0) }
            try must(ended, cells["sent"] ?? 0, "cells that have an outcome at \(name)")
        }
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
