// Plays a case file against the real merge and says what happens; an expectation that does not hold ends it.

import Foundation
import GRDB
import Hub
import Node
import Shared

struct Rehearsal {
    static let verbs = [
        "put", "add", "delete", "sync", "push", "fetch", "settle", "take", "set", "merge", "distinct", "return", "bulk", "undo", "expect", "clock", "wait",
        "backup", "restore", "clone", "upgrade",
    ]

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
        world = try await World(catalogue: catalogue, nodes: file.nodes, policies: file.policies, versions: file.sites)
        for letter in Set(file.nodes.map { String($0.prefix(1)) }).sorted() {
            let name = file.nodes.first { $0.hasPrefix(letter) }!
            let added = try world.node(name).addExamples(author: "初始数据", school: letter)
            if letter == "A" { rows = added }
            for (key, value) in added where letter != "A" { rows["\(letter).\(key)"] = value }
        }
        try await world.settle()
    }

    /// - Throws: `Failure` that names file, line and step; `.unmet` when something goes otherwise than the file says.
    mutating func play() async throws {
        tell("\(file.title)  (\(file.kind))")
        for (index, step) in file.step.enumerated() {
            do {
                if let note = step.note { tell("  \(note)") }
                try await play(step)
                guard step.refused != true else { throw Self.otherwise("it must be refused, and was not") }
            } catch {
                let failure = error as? Failure ?? storeFailure(error, path: world.folder)
                if step.refused == true, failure.kind == .refused {
                    tell("  refused: \(failure.what)")
                    continue
                }
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
            let form = try world.version(step.who).form(named: step.form ?? "")
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
        case "backup":
            try world.backup(step.who)
            tell("the home of \(step.who) is copied")
        case "restore":
            try world.restore(step.who, try part(step))
            tell("the copy of \(step.who) is put back: \(try part(step).rawValue)")
        case "clone":
            try world.clone(step.who, as: step.alias ?? "")
            tell("the home of \(step.who) is copied to a second machine, \(step.alias ?? "")")
        case "upgrade":
            try upgrade(step)
        case "bulk":
            try bulk(step)
        case "take", "set", "merge", "distinct", "return", "undo":
            let entry = try decide(step)
            tell("\(step.who): \(entry.taken); \(entry.reason)")
        default:
            try expect(step)
        }
    }

    private func part(_ step: CaseFile.Step) throws(Failure) -> HomeCopy.Part {
        guard let part = HomeCopy.Part(rawValue: step.what ?? "home") else {
            let words = HomeCopy.Part.allCases.map(\.rawValue).joined(separator: ", ")
            throw Failure(.usage, "'\(step.what ?? "")' cannot be put back.", next: "what is one of \(words).")
        }
        return part
    }

    private func upgrade(_ step: CaseFile.Step) throws {
        try world.upgrade(step.who, to: step.to.flatMap { file.versions[$0] } ?? world.catalogue)
        tell("\(step.who) goes on with \(step.to ?? "the installed version") of the catalogue")
    }

    // MARK: writes

    private func put(_ step: CaseFile.Step, _ form: Form, _ row: RowID, _ values: [Int: Value]) throws {
        if world.hubs[step.who] != nil {
            try world.hub(step.who).change(form, row, values, author: author(step), now: world.clock.now)
        } else {
            guard try world.node(step.who).values(form, row) != nil else { throw Self.otherwise("the row does not live at \(step.who)") }
            try world.node(step.who).change(form, row, values, author: author(step), years: clocks[step.who] ?? 0, days: world.clock.days)
        }
    }

    private func add(_ step: CaseFile.Step, _ form: Form, _ values: [Int: Value]) throws -> RowID {
        if world.hubs[step.who] != nil { return try addAtHub(step, form, values) }
        return try world.node(step.who).add(form, values, author: author(step), years: clocks[step.who] ?? 0, days: world.clock.days)
    }

    /// As `hub import` does: the hub's own row, beside one of its key that the school has typed.
    private func addAtHub(_ step: CaseFile.Step, _ form: Form, _ values: [Int: Value]) throws -> RowID {
        var whole: [Int: Value] = [:]
        for (name, value) in form.example { whole[form.fieldIndex(id: name)!] = value }
        whole.merge(values) { _, new in new }
        let school = try world.schoolCode(step.school ?? "A")
        let report = try OwnerWriter(world.hub(step.who)).write(
            form, [RoutedRow(line: 0, school: school, values: whole)], author: author(step), existing: .refuse, now: world.clock.now)
        guard report.isWritten, let id = report.ids.first.flatMap({ Int64($0) }) else {
            throw Failure(.refused, report.errors.map(\.message).joined(separator: "; "), next: "Nothing was written.")
        }
        return RowID(id)
    }

    private func delete(_ step: CaseFile.Step, _ form: Form, _ row: RowID) throws {
        if world.hubs[step.who] != nil {
            try world.hub(step.who).remove(form, row, author: author(step), now: world.clock.now)
        } else {
            guard try world.node(step.who).values(form, row) != nil else { throw Self.otherwise("the row does not live at \(step.who)") }
            try world.node(step.who).remove(form, row, author: author(step), years: clocks[step.who] ?? 0, days: world.clock.days)
        }
    }

    private func author(_ step: CaseFile.Step) -> String {
        let user = step.as ?? (world.hubs[step.who] == nil ? "\(step.who) 业务员" : "\(step.who) 操作员")
        return step.source.map { Stamp.author(source: $0, user: user) } ?? user
    }

    private func describe(_ values: [String: Scalar]?) -> String {
        (values ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value.value.shown)" }.joined(separator: ", ")
    }

    /// A step's row, and its form as whoever acts knows it.
    private func target(_ step: CaseFile.Step) throws -> (form: Form, row: RowID) {
        let (form, row) = try named(step)
        guard world.nodes[step.who] != nil || world.hubs[step.who] != nil else { return (form, row) }
        return (try world.form(form.number, at: step.who) ?? form, row)
    }

    private func named(_ step: CaseFile.Step) throws -> (form: Form, row: RowID) {
        let name = step.row ?? file.row ?? ""
        if let found = rows[name] { return found }
        if name.contains("/") { return try target(key: name, at: step.who) }
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

    /// "班级信息/20240102": the living row of that key.
    private func target(key name: String, at who: String) throws -> (form: Form, row: RowID) {
        let parts = name.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let form = try world.catalogue.form(named: parts[0])
        for candidate in Set(rows.values.filter { $0.form.id == form.id }.map(\.row)) {
            guard let values = try stored(who, form, candidate) else { continue }
            if form.key.map({ values[$0].shown }).joined(separator: " ") == parts[1] { return (form, candidate) }
        }
        throw Self.otherwise("no living row at \(who) has the key '\(parts[1])'")
    }

    private func values(_ set: [String: Scalar]?, _ form: Form) throws -> [Int: Value] {
        var values: [Int: Value] = [:]
        for (name, scalar) in (set ?? [:]).sorted(by: { $0.key < $1.key }) {
            let index = try form.field(named: name)
            guard values.updateValue(try scalar.value(of: form.fields[index]), forKey: index) == nil else {
                throw Failure(.usage, "\(form.fields[index].title) is named twice.", next: "Leave one of its names.")
            }
        }
        return values
    }

    // MARK: decisions

    private func decide(_ step: CaseFile.Step) throws -> JournalEntry {
        let desk = OperatorDesk(try world.hub(step.who))
        let verdict = Verdict(
            who: author(step), reason: step.reason ?? "演练", version: step.version, explanation: step.explain)
        if step.do == "undo" {
            let last = try desk.journal().last { $0.kind != "undo" && $0.undoneBy == nil }
            guard let last else { throw Self.otherwise("there is no decision to undo") }
            return try desk.undo(last.decision, verdict)
        }
        if step.row == "clone", let twins = try desk.cases(kind: "clone").first { return try desk.distinct(twins.number, verdict) }
        let (form, row) = try target(step)
        let open = try desk.cases(form: form.id).filter { [$0.row, $0.otherRow, $0.survivor?.row].contains(row.description) }
            .sorted { ($0.survivor == nil ? 1 : 0, $0.number) < ($1.survivor == nil ? 1 : 0, $1.number) }       // the first offer first
        let named = try values(step.take ?? step.set, form)
        for item in open {
            switch step.do {
            case "take":
                let wanted = Dictionary(uniqueKeysWithValues: named.map { (form.fields[$0.key].id, $0.value.shown) })
                let candidate = item.candidates.first { candidate in
                    step.life.map { candidate.values["life"] == $0 }
                        ?? (!wanted.isEmpty && wanted.allSatisfy { candidate.values[$0.key] == $0.value })
                }
                if let candidate { return try desk.take(item.number, candidate: candidate.candidate, verdict) }
            case "set":
                if named.keys.allSatisfy({ item.group.contains(form.fields[$0].id) }) { return try desk.set(item.number, named, verdict) }
            case "return":
                return try desk.handBack(item.number, verdict)
            case "merge":
                if item.kind == "twins" || item.survivor != nil { return try desk.merge(item.number, verdict) }
            default:
                if item.kind == "twins" { return try desk.distinct(item.number, verdict) }
            }
        }
        let shown = open.map { item in "\(item.number) \(item.kind) (\(item.candidates.map { "\($0.values)" }.joined(separator: ", ")))" }
        throw Self.otherwise("no open case fits; open about this row are \(shown.isEmpty ? "none" : shown.joined(separator: "; "))")
    }

    private func bulk(_ step: CaseFile.Step) throws {
        let hub = try world.hub(step.who)
        let verdict = Verdict(who: author(step), reason: step.reason ?? "演练", explanation: step.explain)
        let report = try OperatorDesk(hub).bulk(
            CaseFilter(step.filter ?? [], catalogue: hub.catalogue), take: Side(step.side ?? ""), verdict, dryRun: false)
        tell("\(step.who): \(report.decided) of \(report.cases) cases decided; \(verdict.reason)")
        if let decided = step.decided { try must(report.decided, decided, "cases decided at once") }
        if let left = step.left { try must(report.cases - report.decided, left, "cases that stay") }
    }

    // MARK: expectations

    private func expect(_ step: CaseFile.Step) throws {
        if let wanted = step.values {
            let (form, row) = try target(step)
            let found = try stored(step.who, form, row)
            for (index, value) in try values(wanted, form).sorted(by: { $0.key < $1.key }) {
                try must(found?[index] ?? .null, value, "\(form.fields[index].title) at \(step.who)")
            }
        }
        if let exists = step.exists {
            let (form, row) = try target(step)
            try must(try stored(step.who, form, row) != nil, exists, "the row lives at \(step.who)")
        }
        if let count = step.rows {
            let known = (Array(file.versions.values) + [world.catalogue]).lazy.compactMap { try? $0.form(named: step.form ?? "") }.first
            let form = try known.map { try world.form($0.number, at: step.who) ?? $0 } ?? world.catalogue.form(named: step.form ?? "")
            try must(try world.rows(step.who, form), count, "living rows of \(form.title) at \(step.who)")
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
            let index = try form.field(named: name)
            let old = try world.hub(step.who).history(form, row, field: index)
            try must(old, try wanted.map { try $0.value(of: form.fields[index]) }, "history of \(name) at \(step.who)")
        }
        for (name, wanted) in step.author ?? [:] {
            let (form, row) = try target(step)
            try must(
                try world.hub(step.who).author(form, row, field: try form.field(named: name)), wanted, "author of \(name) at \(step.who)")
        }
        if let count = step.journal {
            try must(try OperatorDesk(try world.hub(step.who)).journal().count, count, "entries of the journal at \(step.who)")
        }
        if let reasons = step.decisions {
            let found = try world.hubs[step.who] == nil
                ? world.node(step.who).decisions(form: nil) : OperatorDesk(try world.hub(step.who)).decisions()
            try must(found.map(\.reason), reasons, "reasons of the decisions known at \(step.who)")
        }
        if let count = step.answered {
            let open = try OperatorDesk(try world.hub(step.who)).cases().filter(\.isAnswered)
            try must(open.count, count, "cases with an answer at \(step.who)")
        }
        if let wanted = step.requests {
            let found = try OperatorDesk(try world.hub(step.who)).requests().flatMap { request in
                request.asked.map { asked in
                    [request.stands, asked.values].map { $0.sorted { $0.key < $1.key }.map(\.value).joined(separator: " | ") }.joined(separator: " → ")
                }
            }
            try must(found.sorted(), wanted.sorted(), "requests at \(step.who)")
        }
        if let count = step.disputed { try must(try world.node(step.who).status().openCases, count, "disputed rows at \(step.who)") }
    }

    /// At every hub: cells sent = merged + equal + disputed + overtaken.
    private func checkCounts() throws {
        for (name, tier) in world.hubs {
            let cells = try tier.home.status().cells
            let ended = ["merged", "equal", "disputed", "overtaken"].reduce(0) { $0 + (cells[$1] ?? 0) }
            try must(ended, cells["sent"] ?? 0, "\(file.path), at the end: cells that have an outcome at \(name)")
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
        guard found == wanted else { throw Self.otherwise("\(what): found \(found), must be \(wanted)") }
    }

    private static func otherwise(_ what: String) -> Failure {
        Failure(.unmet, "\(what).", next: "The case went otherwise than its file says: either the file or the merge is wrong.")
    }

    /// The row's values at a node or hub; nil when it does not live there.
    private func stored(_ who: String, _ form: Form, _ row: RowID) throws -> [Value]? {
        if world.hubs[who] != nil { return try world.hub(who).values(form, row) }
        return try world.node(who).values(form, row)
    }
}

extension Scalar {
    /// What a step writes or expects in a field; "" is nothing.
    fileprivate func value(of field: Field) throws(Failure) -> Value {
        func wrong(_ what: String, _ example: String) -> Failure {
            Failure(.usage, "\(field.title) holds \(what), and \(value.shown) is none.", next: "Write \"\(field.title)\" = \(example).")
        }
        switch (field.sqlType, value) {
        case (_, .null), (_, .text("")): return .null
        case ("INTEGER", .text), ("INTEGER", .real): throw wrong("a whole number", "45, without quotation marks")
        case ("REAL", .text): throw wrong("a number", "4.5, without quotation marks")
        case ("REAL", .integer(let whole)): return .real(Double(whole))
        case ("TEXT", .integer), ("TEXT", .real): throw wrong("a text", "\"...\", in quotation marks")
        default: return value
        }
    }
}
