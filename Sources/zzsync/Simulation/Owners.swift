// What hubs write themselves: rows of schools that begin at their owner (一数一源), changes of them, workbooks of a register, and the
// value that somebody has asked for.

import Foundation
import GRDB
import Hub
import Shared

extension Country {
    /// Fields of the test bed that are decided by their owner, and who that is; in the installed catalogue all wait for people.
    private static let owned = [
        ("general.school.campus", "contact_name", "province"), ("general.school.department", "leader_name", "ministry"),
        ("integration.enterprise.basic", "address", "province"),
    ]

    static func withOwners(_ catalogue: Catalogue) throws(Failure) -> Catalogue {
        var texts = Dictionary(uniqueKeysWithValues: catalogue.files.map { ($0.name, $0.text) })
        for (form, field, owner) in owned {
            let file = "forms/\(form).toml"
            var blocks = texts[file]!.components(separatedBy: "[[field]]")
            for index in blocks.indices where blocks[index].contains("\nid = \"\(field)\"\n") {
                blocks[index] = blocks[index].replacing("owner = \"school\"\npolicy = \"manual\"", with: "owner = \"\(owner)\"\npolicy = \"owner\"")
            }
            texts[file] = blocks.joined(separator: "[[field]]")
        }
        return try CatalogueLoader.compile(texts.map { CatalogueFile(name: $0.key, text: $0.value) })
    }

    /// Whoever writes meets its owner here more often than elsewhere.
    func ownedField(_ form: Form) -> Int? {
        guard plan.hasDeskWork, dice.chance(0.4) else { return nil }
        return form.groups.first { $0.policy == .owner }?.fields[0]
    }

    func schoolCode(_ school: Int) -> String { "3641\(String(repeating: "0", count: 6 - String(school + 1).count))\(school + 1)" }

    /// Somebody at a hub adds a row to a school, changes one, imports a register's workbook or grants what was asked for.
    func putAtHub() {
        guard let site = dice.pick(hubs.filter { $0.isUp && !$0.fuse.isBlown }), let home = site.hub?.home else { return }
        if dice.chance(0.1) { site.fuse.arm(dice.pick(Fault.ownerPoints)!, count: 1) }
        do {
            let form = dice.pick(site.catalogue.forms)!
            let school = dice.roll(0...plan.schools - 1)
            // Nobody below has sent anything of it yet.
            guard (try? home.scope(school: schoolCode(school))) != nil else { return }
            let requests = try OperatorDesk(home).requests()
            switch dice.roll(1...10) {
            case 1...5 where !requests.isEmpty: try grant(dice.pick(requests)!, at: site)
            case 1...6: try change(form, school, at: site)
            case 7...8: try importBook(school, at: site)
            default: try add(form, school, at: site)
            }
        } catch {
            if site.isDiskFull { faults.count(.hubDiskFull) } else if !site.fuse.isBlown {
                failures.append("\(site.name): an owner's write failed: \(error)")
            }
        }
        countCases(at: site)
    }

    private func put(
        _ form: Form, _ school: Int, _ values: [Int: Value], _ existing: OwnerWriter.Existing, at site: Site, by clerk: Clerk
    ) throws -> OwnerReport {
        try OwnerWriter(site.hub!.home).write(
            form, [RoutedRow(line: 1, school: schoolCode(school), values: values)], author: clerk.author, existing: existing)
    }

    // MARK: rows that begin at a hub

    private func add(_ form: Form, _ school: Int, at site: Site) throws {
        let clerk = nextAction(site)
        var values = entries.row(form, clerk.number)
        // Now and then a school has typed the same key already, or will.
        if dice.chance(0.2), let key = dice.pick(recentKeys[form.number] ?? []) {
            for (index, value) in zip(form.key, key) { values[index] = value }
        } else {
            recentKeys[form.number, default: []].append(form.key.map { values[$0]! })
        }
        let report = try put(form, school, values, .refuse, at: site, by: clerk)
        guard try record(report, form, school, at: site, by: clerk) else { return }
        tallies.count(.ownerAdded)
        note("\(clerk.author) puts \(form.table) \(report.ids.joined()) of \(Self.letters(school))")
    }

    /// The same workbook that a school has imported, perhaps: equal rows of one key become one.
    private func importBook(_ school: Int, at site: Site) throws {
        guard let book = lastBook, let form = site.catalogue[number: book.form.number] else { return }
        let school = dice.chance(0.8) ? book.school : school
        let clerk = nextAction(site)
        guard (try? site.hub!.home.scope(school: schoolCode(school))) != nil else { return }
        let report = try OwnerWriter(site.hub!.home).importWorkbook(
            form, path: book.path, source: "企业名录", user: clerk.author, school: schoolCode(school), update: false, dryRun: false)
        guard try record(report, form, school, at: site, by: clerk) else { return }
        tallies.count(.ownerImported)
        if report.twinsMerged > 0 { tallies.count(.ownerTwinMerged) }
        note("\(clerk.author) imports \(report.added) rows of \(form.table) of \(Self.letters(school)), \(report.twinsMerged) of them known")
    }

    /// - Returns: whether anything was written that outlives the process.
    private func record(_ report: OwnerReport, _ form: Form, _ school: Int, at site: Site, by clerk: Clerk) throws -> Bool {
        guard report.isWritten, stands(site), let home = site.hub?.home else { return false }
        for id in report.ids.compactMap({ Int64($0) }) {
            let row = RowKey(scope: scopes[school].rawValue, form: form.number, id: id)
            let words = try shown(row, at: home) ?? [:]
            for (group, word) in words {
                let isEmpty = word.allSatisfy { $0 == "|" }
                oracle.write(CellKey(row: row, group: group), word, over: nil, by: clerk, isEmpty: isEmpty, beside: words)
            }
        }
        return true
    }

    // MARK: rows that are there

    private func change(_ form: Form, _ school: Int, at site: Site) throws {
        let home = site.hub!.home
        let rows = try self.rows(catalogue[number: form.number]!, at: home).filter { $0.0.scope == scopes[school].rawValue && $0.1 == 1 }
        let month = dice.chance(0.4) ? dice.pick(months(form)) : nil
        guard let row = dice.pick(dice.chance(0.7) ? Array(rows.prefix(3)) : rows)?.0,
            let field = month ?? ownedField(form) ?? dice.pick(entries.writable(form).filter({ !form.key.contains($0) }))
        else { return }
        let clerk = nextAction(site)
        let present = month == nil ? nil : try home.values(form, RowID(row.id))
        let value = present.map { self.month(field, of: form, in: $0) } ?? entries.fresh(form.fields[field], clerk.number)
        guard let value else { return }
        guard let report = try write([field: value], to: row, form, school, at: site, by: clerk) else { return }
        if report.changed == 1 { tallies.count(.ownerChanged) }
        note("\(clerk.author) writes \(form.fields[field].id) of \(form.table) \(row.id)")
    }

    /// What was asked for is written: nobody asks for it any more, and where nobody else asked the request has closed itself.
    private func grant(_ request: ChangeRequest, at site: Site) throws {
        guard let form = site.catalogue[request.form], let school = (0..<plan.schools).first(where: { schoolCode($0) == request.school }),
            let asked = request.asked.last, let id = Int64(request.row)
        else { return }
        var values: [Int: Value] = [:]
        for (column, text) in asked.values {
            guard let field = form.fieldIndex(id: column) else { return }
            values[field] = text.isEmpty ? .null : .text(text)
        }
        let clerk = nextAction(site)
        let row = RowKey(scope: scopes[school].rawValue, form: form.number, id: id)
        // At another hub than the owner's it is asked for once more.
        guard try write(values, to: row, form, school, at: site, by: clerk)?.changed == 1 else { return }
        let now = try OperatorDesk(site.hub!.home).request(request.number)
        let others = request.asked.filter { $0.values != asked.values }
        let isMet = others.isEmpty ? now.state == .agreed : now.state == .open && now.asked.map(\.values) == others.map(\.values)
        expect(isMet, "\(site.name): request \(request.number) is \(now.state) though what it asks for was written")
        tallies.count(.requestGranted)
        note("\(clerk.author) grants request \(request.number): \(asked.values.values.sorted().joined(separator: "|"))")
    }

    /// Changes a row by its key.
    ///
    /// - Returns: nil where nothing was written that outlives the process.
    private func write(_ values: [Int: Value], to row: RowKey, _ form: Form, _ school: Int, at site: Site, by clerk: Clerk) throws -> OwnerReport? {
        let home = site.hub!.home
        guard let present = try home.values(form, RowID(row.id)), !form.key.contains(where: { present[$0].isNull }) else { return nil }
        let key = form.key.map { present[$0] }
        // Of several rows of one key none is meant: the write is refused.
        let before = try shown(row, at: home)!
        var wanted = Dictionary(uniqueKeysWithValues: zip(form.key, key))
        wanted.merge(values) { $1 }
        let report = try put(form, school, wanted, .update, at: site, by: clerk)
        guard report.isWritten, report.equal == 0, stands(site) else { return nil }
        let whole = catalogue[number: form.number]!
        for (group, fields) in whole.groups.enumerated() where fields.fields.contains(where: { values[$0] != nil }) {
            let new = fields.fields.map { values[$0] ?? (present.indices.contains($0) ? present[$0] : .null) }
            guard Entries.word(new) != before[group] else { continue }
            oracle.write(
                CellKey(row: row, group: group), Entries.word(new), over: before[group], by: clerk, isEmpty: new.allSatisfy(\.isNull),
                beside: before.merging([group: Entries.word(new)]) { $1 })
        }
        return site.fuse.isBlown ? nil : report
    }
}
