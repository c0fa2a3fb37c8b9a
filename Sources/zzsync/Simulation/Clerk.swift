// Clerks: they put, edit, delete and import, by the real verbs and now and then by a program of their own.

import Foundation
import GRDB
import Node
import Shared

/// A row to be written, and how its values are told apart.
struct Entries {
    let catalogue: Catalogue

    /// Fields that a clerk can give a value of its own to.
    func writable(_ form: Form) -> [Int] {
        form.fields.indices.filter { form.fields[$0].references == nil && fresh(form.fields[$0], 1) != nil }
    }

    /// A valid value that no other write has; nil where the values are few.
    func fresh(_ field: Field, _ number: Int) -> Value? {
        func padded(_ digits: Int) -> String { String(String(repeating: "0", count: digits).dropLast(String(number).count)) + String(number) }
        switch field.type {
        case .text where field.codes == nil:
            if field.id == "organization_code" { return .text("Z" + padded(8)) }
            return .text(field.length.map { $0 <= 10 } == true ? padded(min(6, field.length!)) : "甲\(number)")
        case .phone: return .text("1" + padded(10))
        case .integer: return .integer(Int64(number))
        default: return nil
        }
    }

    /// The form's example with values of its own and no references.
    func row(_ form: Form, _ number: Int) -> [Int: Value] {
        var values: [Int: Value] = [:]
        for (index, field) in form.fields.enumerated() where field.references == nil {
            values[index] = fresh(field, number) ?? form.example[field.id]
        }
        return values
    }

    /// A group's values as one word: what the oracle knows a write by.
    static func word(_ values: [Value]) -> String { values.map(\.shown).joined(separator: "|") }
    static func word(_ form: Form, _ group: Int, _ values: [Value]) -> String {
        word(form.groups[group].fields.map { values[$0] })
    }
}

extension Country {
    /// One sitting of a clerk: a few writes, one after the other.
    func sit(at site: Site, writes: Int) {
        for _ in 0..<writes {
            guard site.isUp, !site.fuse.isBlown else { return }
            do {
                try act(at: site)
            } catch {
                if site.isDiskFull { faults.count(.nodeDiskFull) } else if !site.fuse.isBlown {
                    failures.append("\(site.name): a write failed: \(error)")
                }
            }
        }
    }

    private func act(at site: Site) throws {
        let node = site.node!
        let form = dice.pick(site.catalogue.forms)!
        let rows = try node.database.read { try Int64.fetchAll($0, sql: "SELECT id FROM \(form.table) ORDER BY id") }
        if plan.hasDeskWork, dice.chance(0.5), try answer(at: site) { return }
        if plan.hasDeskWork, dice.chance(0.12), try moveMonth(at: site) { return }
        if site.isDiskFull, dice.chance(0.5) { return try paste(form, at: site) }
        switch dice.roll(1...100) {
        case 1...4 where form.importOrder != nil: try importRows(form, at: site)
        case let roll where roll <= 22 || rows.isEmpty: try put(form, at: site)
        case 23...29: try delete(form, pickRow(rows), at: site)
        case 30...45: try edit(form, pickRow(rows), at: site, byStranger: true)
        default: try edit(form, pickRow(rows), at: site, byStranger: false)
        }
    }

    /// Most of what people do concerns a few rows: that is where they meet.
    private func pickRow(_ rows: [Int64]) -> RowID {
        RowID(dice.chance(0.7) ? dice.pick(Array(rows.prefix(3)))! : dice.pick(rows)!)
    }

    func nextAction(_ site: Site) -> Clerk {
        tallies.writes += 1
        return Clerk(node: site.name, number: tallies.writes)
    }

    // MARK: one write

    private func put(_ form: Form, at site: Site) throws {
        let clerk = nextAction(site)
        var values = entries.row(form, clerk.number)
        // Now and then two people of one school, or of two, enter the same thing.
        if !plan.isModelled, dice.chance(0.12), let key = dice.pick(recentKeys[form.number] ?? []) {
            for (index, value) in zip(form.key, key) { values[index] = value }
        } else {
            recentKeys[form.number, default: []].append(form.key.map { values[$0]! })
            if recentKeys[form.number]!.count > 6 { recentKeys[form.number]!.removeFirst() }
        }
        let node = site.node!
        let known = try lookUp(form, form.key.map { values[$0]! }, at: node)
        let before = try known.flatMap { try node.values(form, $0) }
        let result: PutResult
        do throws(Failure) {
            result = try node.put(form: form, values: values, author: clerk.author)
        } catch {
            // Twins that nobody has decided yet: which of them he means must be said first.
            guard error.kind == .refused, try rows(form, form.key.map { values[$0]! }, at: node) > 1 else { throw error }
            return
        }
        record(site, form, result.row.id, before: before, after: result.row.values, by: clerk)
        note("\(clerk.author) \(result.created ? "puts" : "puts again") \(form.table) \(result.row.id)")
    }

    private func lookUp(_ form: Form, _ key: [Value], at node: NodeHome) throws -> RowID? {
        try node.get(form: form, key: key.map(\.shown))?.id
    }

    /// How many rows have a key.
    private func rows(_ form: Form, _ key: [Value], at node: NodeHome) throws -> Int {
        let filter = form.key.map { "\(form.fields[$0].id) = ?" }.joined(separator: " AND ")
        return try node.database.read { db in
            try Int.fetchOne(db, sql: "SELECT count(*) FROM \(form.table) WHERE \(filter)", arguments: StatementArguments(key.map(\.shown)))!
        }
    }

    private func edit(_ form: Form, _ row: RowID, at site: Site, byStranger: Bool) throws {
        let node = site.node!
        guard let before = try site.node!.values(form, row) else { return }
        let clerk = nextAction(site)
        let isKeyEdit = dice.chance(0.06)
        let fields = entries.writable(form).filter { form.key.contains($0) == isKeyEdit }
        guard let field = (isKeyEdit ? nil : ownedField(form)) ?? dice.pick(fields) else { return }
        // A draft: a value that breaks a rule goes up too, and is held at the hub until it is mended.
        let draft = !plan.isModelled && byStranger && form.fields[field].required == false && form.fields[field].length != nil && dice.chance(0.1)
        let value: Value = draft ? .text(String(repeating: "长", count: form.fields[field].length! + 1) + "\(clerk.number)") : entries.fresh(form.fields[field], clerk.number)!
        let isKeyShared = try form.key.isEmpty || lookUp(form, form.key.map { before[$0] }, at: node) != row
        if byStranger || isKeyEdit || isKeyShared || form.key.contains(where: { before[$0].isNull }) {
            try node.change(form, row, [field: value], author: clerk.author)
        } else {
            var values = Dictionary(uniqueKeysWithValues: form.key.map { ($0, before[$0]) })
            values[field] = value
            do throws(Failure) {
                _ = try node.put(form: form, values: values, author: clerk.author)
            } catch {
                guard error.kind == .refused else { throw error }       // the row was a draft before
                return
            }
        }
        record(site, form, row, before: before, after: try node.values(form, row), by: clerk)
        note("\(clerk.author) edits \(form.fields[field].id) of \(form.table) \(row)\(draft ? ", a draft" : "")")
    }

    private func delete(_ form: Form, _ row: RowID, at site: Site) throws {
        let clerk = nextAction(site)
        guard let before = try wholeRow(form, row, at: site.node!) else { return }
        try site.node!.remove(form, row, author: clerk.author)
        record(site, form, row, before: before, after: nil, by: clerk)
        tallies.deletes += 1
        note("\(clerk.author) deletes \(form.table) \(row)")
    }

    private func rowKey(_ form: Form, _ row: RowID, _ site: Site) -> RowKey {
        RowKey(scope: scopes[site.school!].rawValue, form: form.number, id: row.rawValue)
    }

    /// A long list at once: more than the last page of a full disk has room for.
    private func paste(_ form: Form, at site: Site) throws {
        let clerk = nextAction(site)
        let rows = (1...60).map { entries.row(form, 700_000 + clerk.number * 60 % 200_000 + $0) }
        for row in try site.node!.addMany(form, rows, author: clerk.author) {
            record(site, form, row, before: nil, after: try site.node!.values(form, row), by: clerk)
        }
        note("\(clerk.author) pastes \(rows.count) rows of \(form.table)")
    }

    // MARK: a workbook

    private func importRows(_ form: Form, at site: Site) throws {
        let node = site.node!
        var book = lastBook
        if book == nil || book!.form.number != form.number || book!.school != site.school || dice.chance(0.6) || plan.isModelled {
            book = try makeBook(form, school: site.school!)
        }
        lastBook = book
        let clerk = nextAction(site)
        // Seldom would an end that is drawn at any time fall into an import.
        if plan.hasDeskWork, dice.chance(0.1) { site.fuse.arm(dice.pick(["import.stage", "import.write", "import.commit"])!, count: 1) }
        let report = try node.stage(form: form, path: book!.path, author: clerk.author, update: false, dryRun: false)
        // Rows that the node has got meanwhile are refused: the same workbook a second time.
        guard !site.fuse.isBlown, report.errors.isEmpty, let batch = report.batch else { return }
        _ = try node.accept(batch: batch, author: clerk.author)
        tallies.imports += 1
        for key in book!.keys {
            guard let row = try lookUp(form, key, at: node), let values = try node.values(form, row) else { continue }
            record(site, form, row, before: nil, after: values, by: clerk)
        }
        note("\(clerk.author) imports \(book!.keys.count) rows of \(form.table)")
    }

    private func makeBook(_ form: Form, school: Int) throws -> Workbook {
        books += 1
        let path = "\(folder)/workbook-\(books).xlsx"
        let writer = try WorkbookWriter(path: path, sheet: form.title, header: form.fields.map(\.title))
        var keys: [[Value]] = []
        for row in 1...3 {
            let values = entries.row(form, 600_000 + books * 10 + row)
            keys.append(form.key.map { values[$0]! })
            try writer.append(form.fields.indices.map { values[$0]?.shown ?? "" })
        }
        try writer.close()
        return Workbook(form: form, school: school, path: path, keys: keys)
    }

    // MARK: the oracle's note of it

    /// What was written is kept unless the process died before the commit.
    func record(_ site: Site, _ form: Form, _ row: RowID, before: [Value]?, after: [Value]?, by clerk: Clerk) {
        if let point = site.fuse.blownAt, Fault.isBeforeCommit(point) { return }
        let key = rowKey(form, row, site)
        let form = catalogue[number: form.number]!
        // What an older site does not know stays as it is.
        func whole(_ values: [Value]) -> [Value] { values + Array(repeating: .null, count: form.fields.count - values.count) }
        let (before, after) = (before.map(whole), after.map(whole))
        guard let after else {
            let seen = Dictionary(uniqueKeysWithValues: form.groups.indices.map { ($0, Entries.word(form, $0, before!)) })
            witness?.deleted(key, at: site)
            return oracle.delete(key, seen: seen, by: clerk)
        }
        var changed: [Int: String] = [:]
        let words = Dictionary(uniqueKeysWithValues: form.groups.indices.map { ($0, Entries.word(form, $0, after)) })
        for group in form.groups.indices {
            let word = words[group]!
            let old = before.map { Entries.word(form, group, $0) }
            guard old != word else { continue }
            let isEmpty = form.groups[group].fields.allSatisfy { after[$0].isNull }
            oracle.write(CellKey(row: key, group: group), word, over: old, by: clerk, isEmpty: isEmpty, beside: words)
            changed[group] = word
        }
        witness?.wrote(key, changed, isNew: before == nil, at: site)
    }
}

/// A workbook that lies on somebody's desk.
struct Workbook {
    let form: Form
    let school: Int
    let path: String
    let keys: [[Value]]
}
