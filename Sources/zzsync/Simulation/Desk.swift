// Operators: they take, set, merge, tell apart and undo, as the cases come.

import Foundation
import GRDB
import Hub
import Shared

extension Country {
    /// Counts the cases that have opened since the last look, and how many of them nobody had to be asked about.
    func countCases(at site: Site) {
        guard let home = site.hub?.home, !site.fuse.isBlown else { return }
        do {
            let new = try OperatorDesk(home).cases().filter { $0.number > site.newestCase }
            for item in new {
                tallies.cases[item.kind, default: 0] += 1
                let isFalse = isFalse(item, at: home)
                if isFalse { tallies.falseCases += 1 }
                note("\(site.name) opens a case: \(describe(item))\(isFalse ? ", false" : "")")
                site.newestCase = max(site.newestCase, item.number)
            }
        } catch {
            failures.append("\(site.name): cases cannot be read: \(error)")
        }
    }

    private func describe(_ item: CaseView) -> String {
        "\(item.kind) \(item.form) \(item.row) \(item.group.joined(separator: ","))"
            + item.candidates.map { " [\($0.values.sorted { $0.key < $1.key }.map(\.value).joined(separator: "|")) by \($0.author)]" }.joined()
    }

    private func isFalse(_ item: CaseView, at home: HubHome) -> Bool {
        guard let (form, key) = row(of: item) else { return false }
        switch item.kind {
        case "cell":
            guard let group = group(of: item, form) else { return false }
            return oracle.isFalse(CellKey(row: key, group: group), item.candidates.map { word($0, form, group) })
        case "life":
            let dead = item.candidates.filter { $0.values["life"] == "dead" }.map(\.author)
            guard let shown = try? shown(key, at: home) else { return false }
            return oracle.isFalse(key, deletedBy: dead, shown: shown)
        default: return false
        }
    }

    // MARK: what a case is about

    private func row(of item: CaseView) -> (Form, RowKey)? {
        guard let form = form(ofCase: item), let school = Int(item.school.suffix(6)), let id = Int64(item.row) else { return nil }
        return (form, RowKey(scope: scopes[school - 1].rawValue, form: form.number, id: id))
    }

    /// The cell of a case about a value, and what it asks about.
    func candidates(of item: CaseView) -> (CellKey, [String])? {
        guard let (form, key) = row(of: item), let group = group(of: item, form) else { return nil }
        return (CellKey(row: key, group: group), item.candidates.map { word($0, form, group) })
    }

    private func group(of item: CaseView, _ form: Form) -> Int? {
        let columns = item.group.map { column($0, of: form) }
        return form.groups.firstIndex { $0.fields.map { form.fields[$0].id } == columns }
    }

    private func word(_ candidate: CandidateView, _ form: Form, _ group: Int) -> String {
        form.groups[group].fields.map { candidate.values[form.fields[$0].id] ?? candidate.values["_f\(form.fields[$0].number)"] ?? "" }.joined(separator: "|")
    }

    /// What the hub shows of a row, dead or alive: group → word.
    func shown(_ key: RowKey, at home: HubHome) throws -> [Int: String]? {
        let form = catalogue[number: key.form]!
        let values = try home.database.read { db in
            guard let (table, columns) = try columns(form, home.versions, db) else { return nil as [Value]? }
            let select = try HotStatement(db, "SELECT \(columns) FROM \(table) WHERE scope = ? AND id = ?")
            defer { select.reset() }
            select.bind(1, ScopeID(key.scope).key)
            select.bind(2, key.id)
            return try select.step() ? form.fields.indices.map { select.value($0) } : nil
        }
        return values.map { values in
            Dictionary(uniqueKeysWithValues: form.groups.indices.map { ($0, Entries.word(form, $0, values)) })
        }
    }

    // MARK: deciding

    /// Decides some of the open cases, and now and then takes a decision back.
    ///
    /// - Returns: how many decisions were made.
    @discardableResult func decide(at site: Site, share: Double, undoing: Double) -> Int {
        guard let home = site.hub?.home, !site.fuse.isBlown else { return 0 }
        var made = 0
        do {
            let desk = OperatorDesk(home)
            let cases = try desk.cases().sorted {
                ($0.school, $0.form, $0.row, $0.kind, $0.group.joined()) < ($1.school, $1.form, $1.row, $1.kind, $1.group.joined())
            }
            // Seldom would an end that is drawn at any time fall into a decision.
            if plan.hasFaults, !isResting, !cases.isEmpty, dice.chance(0.08) { site.fuse.arm(dice.pick(["decide.write", "decide.commit"])!, count: 1) }
            for item in cases where dice.chance(share) {
                guard !site.fuse.isBlown else { return made }
                do throws(Failure) {
                    if try decide(item, desk, site) { made += 1 }
                } catch {
                    if error.kind == .refused { continue }      // another case of the row comes first
                    throw error
                }
            }
            if dice.chance(undoing) { try undo(desk, site) }
        } catch {
            if site.isDiskFull { faults.count(.hubDiskFull) } else if !site.fuse.isBlown {
                failures.append("\(site.name): a decision failed: \(error)")
            }
        }
        countCases(at: site)
        tallies.decisions += made
        return made
    }

    /// Every verdict has an author of its own: after a hub was put back it is asked which of them anybody still has.
    private func judge(_ site: Site) -> Judge {
        tallies.verdicts += 1
        return Judge(site: site.name, author: "\(site.name) 操作员#\(tallies.verdicts)")
    }

    private func verdict(_ judge: Judge) -> Verdict { Verdict(who: judge.author, reason: "核对原始材料", explanation: "已与学校核实") }

    /// It stands, unless the process died before its commit.
    private func stands(_ site: Site) -> Bool { site.fuse.blownAt.map { !Fault.isBeforeCommit($0) } ?? true }

    private func decide(_ item: CaseView, _ desk: OperatorDesk, _ site: Site) throws(Failure) -> Bool {
        if item.kind == "clone" {
            _ = try desk.distinct(item.number, verdict(judge(site)))
            note("\(site.name) lets both machines go on")
            return true
        }
        guard let (form, key) = row(of: item) else { return false }
        do {
            switch item.kind {
            case "cell", "owner":
                guard let group = group(of: item, form) else { return false }
                try decideCell(item, form, CellKey(row: key, group: group), desk, site)
            case "rule": try decideRule(item, form, key, desk, site)
            case "life": try decideLife(item, key, desk, site)
            case "twins": try decideTwins(item, form, key, desk, site)
            default:
                throw Failure(.damaged, "The simulator knows no case of kind '\(item.kind)'.", next: "Teach it to Simulation/Desk.swift.")
            }
            note("\(site.name) decides \(item.kind) \(item.form) \(item.row) \(item.group.joined(separator: ","))")
            return true
        } catch {
            throw storeFailure(error, path: site.name)
        }
    }

    private func decideCell(_ item: CaseView, _ form: Form, _ cell: CellKey, _ desk: OperatorDesk, _ site: Site) throws {
        let judge = judge(site)
        let before = try shown(cell.row, at: desk.home)!
        let seen = item.candidates.map { word($0, form, cell.group) } + [before[cell.group]!]
        let field = entries.writable(form).first { form.groups[cell.group].fields.contains($0) }
        if let field, dice.chance(0.5) {
            tallies.writes += 1
            let value = entries.fresh(form.fields[field], tallies.writes)!
            _ = try desk.set(item.number, [field: value], verdict(judge))
        } else {
            _ = try desk.take(item.number, candidate: dice.roll(1...item.candidates.count), verdict(judge))
        }
        guard stands(site), let after = try shown(cell.row, at: desk.home)?[cell.group] else { return }
        oracle.decide(cell, after, covering: seen, by: judge)
    }

    /// One side of a broken rule: the cells in which it differs are written.
    private func decideRule(_ item: CaseView, _ form: Form, _ key: RowKey, _ desk: OperatorDesk, _ site: Site) throws {
        let judge = judge(site)
        let before = try shown(key, at: desk.home)!
        _ = try desk.take(item.number, candidate: dice.roll(1...item.candidates.count), verdict(judge))
        guard stands(site), let after = try shown(key, at: desk.home) else { return }
        for group in form.groups.indices where before[group] != after[group] {
            oracle.decide(CellKey(row: key, group: group), after[group]!, covering: [before[group]!], by: judge)
        }
    }

    private func decideLife(_ item: CaseView, _ key: RowKey, _ desk: OperatorDesk, _ site: Site) throws {
        let judge = judge(site)
        let number = dice.roll(1...item.candidates.count)
        let before = try shown(key, at: desk.home)!
        var seen = before.mapValues { [$0] }
        // A delete answers the row's other cases too.
        for other in try desk.cases() where other.kind == "cell" && other.row == item.row && other.form == item.form {
            guard let (form, otherKey) = row(of: other), otherKey == key, let group = group(of: other, form) else { continue }
            seen[group, default: []] += other.candidates.map { word($0, form, group) }
        }
        _ = try desk.take(item.number, candidate: number, verdict(judge))
        guard stands(site) else { return }
        if item.candidates[number - 1].values["life"] == "dead" {
            oracle.decideDeath(key, seen: seen, by: judge)
        } else {
            oracle.decideLife(key, by: judge)
        }
    }

    private func decideTwins(_ item: CaseView, _ form: Form, _ key: RowKey, _ desk: OperatorDesk, _ site: Site) throws {
        guard item.otherSchool == item.school, let other = item.otherRow.flatMap({ Int64($0) }), dice.chance(0.7) else {
            _ = try desk.distinct(item.number, verdict(judge(site)))
            return
        }
        let otherKey = RowKey(scope: key.scope, form: key.form, id: other)
        let judge = judge(site)
        let (survivor, gone) = key.id < other ? (key, otherKey) : (otherKey, key)
        let (kept, lost) = (try shown(survivor, at: desk.home)!, try shown(gone, at: desk.home)!)
        _ = try desk.merge(item.number, verdict(judge))
        guard stands(site), let after = try shown(survivor, at: desk.home) else { return }
        for group in form.groups.indices {
            oracle.decide(CellKey(row: survivor, group: group), after[group]!, covering: [kept[group]!], by: judge)
        }
        oracle.decideDeath(gone, seen: lost.mapValues { [$0] }, by: judge)
    }

    /// Takes one of the last decisions back.
    private func undo(_ desk: OperatorDesk, _ site: Site) throws {
        let last = try desk.journal().suffix(5).filter { $0.kind != "undo" && $0.undoneBy == nil && $0.who != "zzsync" }
        guard let entry = dice.pick(Array(last)) else { return }
        let item = try desk.show(entry.number)
        guard let (form, key) = row(of: item) else { return }
        let rows = [key] + (item.otherRow.flatMap { Int64($0) }.map { [RowKey(scope: key.scope, form: key.form, id: $0)] } ?? [])
        let judge = judge(site)
        let before = try rows.map { try shown($0, at: desk.home) }
        do throws(Failure) {
            _ = try desk.undo(entry.decision, verdict(judge))
        } catch {
            guard error.kind == .refused else { throw error }
            return
        }
        guard stands(site) else { return }
        tallies.undone += 1
        note("\(site.name) takes back its \(entry.kind) of \(item.form) \(item.row)")
        for (row, old) in zip(rows, before) {
            guard let old, let new = try shown(row, at: desk.home) else { continue }
            for group in form.groups.indices where old[group] != new[group] {
                oracle.decide(CellKey(row: row, group: group), new[group]!, covering: [old[group]!], by: judge)
            }
            if entry.kind == "merge" || item.kind == "life" { oracle.decideLife(row, by: judge) }
        }
    }
}
