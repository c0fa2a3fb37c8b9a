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
                if item.kind == "cell", cells(of: item).count > 1 { faults.count(.jointCase) }
                if item.kind == "rule" { tallies.count(.brokenTogether) }
                if isFalse { tallies.needless[item.kind, default: 0] += 1 }
                note("\(site.name) opens a case: \(describe(item))\(isFalse ? ", false" : "")")
                site.newestCase = max(site.newestCase, item.number)
            }
        } catch {
            failures.append("\(site.name): cases cannot be read: \(error)")
        }
    }

    func describe(_ item: CaseView) -> String {
        "\(item.kind) \(item.form) \(item.row) \(item.group.joined(separator: ","))"
            + item.candidates.map { " [\($0.values.sorted { $0.key < $1.key }.map(\.value).joined(separator: "|")) by \($0.author)]" }.joined()
    }

    private func isFalse(_ item: CaseView, at home: HubHome) -> Bool {
        guard let (_, key) = row(of: item) else { return false }
        switch item.kind {
        case "cell":
            // Those that opened it: what joins later does not make it a better question.
            return oracle.isFalse(cells(of: item).map { ($0, Array($1.prefix(2))) })
        case "life":
            let dead = item.candidates.filter { $0.values["life"] == "dead" }.map(\.author)
            guard let shown = try? shown(key, at: home) else { return false }
            return oracle.isFalse(key, deletedBy: dead, shown: shown)
        default: return false
        }
    }

    // MARK: what a case is about

    func row(of item: CaseView) -> (Form, RowKey)? {
        guard let form = form(ofCase: item), let school = Int(item.school.suffix(6)), let id = Int64(item.row) else { return nil }
        return (form, RowKey(scope: scopes[school - 1].rawValue, form: form.number, id: id))
    }

    /// The cells of a case about a value, and what it asks about in each: several where its hub cuts the form more coarsely than others.
    func cells(of item: CaseView) -> [(cell: CellKey, words: [String])] {
        guard let (form, key) = row(of: item) else { return [] }
        let columns = Set(item.group.map { column($0, of: form) })
        let groups = form.groups.indices.filter { form.groups[$0].fields.allSatisfy { columns.contains(form.fields[$0].id) } }
        return groups.map { group in (CellKey(row: key, group: group), item.candidates.map { word($0, form, group) }) }
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
            if dice.chance(undoing), !plan.isModelled { try undo(desk, site) }
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
    func judge(_ site: Site) -> Judge {
        tallies.verdicts += 1
        return Judge(site: site.name, author: "\(site.name) 操作员#\(tallies.verdicts)")
    }

    func verdict(_ judge: Judge) -> Verdict { Verdict(who: judge.author, reason: "核对原始材料", explanation: "已与学校核实") }

    /// It stands, unless the process died before its commit.
    func stands(_ site: Site) -> Bool { site.fuse.blownAt.map { !Fault.isBeforeCommit($0) } ?? true }

    private func decide(_ item: CaseView, _ desk: OperatorDesk, _ site: Site) throws(Failure) -> Bool {
        if item.kind == "clone" {
            _ = try desk.distinct(item.number, verdict(judge(site)))
            note("\(site.name) lets both machines go on")
            return true
        }
        guard !isWaited(for: item), let choice = try choice(item, site) else { return false }
        do {
            let judge = judge(site)
            let tell = try foresee(item, choice, desk, site, by: judge)
            _ = try desk.decide(item.number, choice, verdict(judge))
            if stands(site) {
                try tell()
                count(item, choice, at: site)
                show(site)
            }
            note("\(site.name) decides \(item.kind) \(item.form) \(item.row) \(item.group.joined(separator: ","))")
            return choice != .handBack
        } catch {
            throw storeFailure(error, path: site.name)
        }
    }

    /// What this operator answers; nil where it is not understood what is asked.
    private func choice(_ item: CaseView, _ site: Site) throws(Failure) -> Choice? {
        guard let (form, key) = row(of: item) else { return nil }
        if let asked = choiceOfQuestion(item, at: site) { return asked }
        let anyCandidate = item.candidates.count > 0 ? 1...item.candidates.count : 1...1
        switch item.kind {
        case "cell", "owner":
            let fields = cells(of: item).flatMap { form.groups[$0.cell.group].fields }
            guard !fields.isEmpty else { return nil }
            let field = entries.writable(form).first(where: fields.contains)
            guard let field, dice.chance(0.5) else { return .candidate(dice.roll(anyCandidate)) }
            tallies.writes += 1
            return .values([field: entries.fresh(form.fields[field], tallies.writes)!])
        case "rule", "life": return .candidate(dice.roll(anyCandidate))
        case "twins":
            guard item.otherSchool == item.school, item.otherRow.flatMap({ Int64($0) }) != nil, dice.chance(0.7) else { return .distinct }
            return .merge
        default:
            throw Failure(
                .damaged, "The simulator knows no case of kind '\(item.kind)' (row \(key.id)).", next: "Teach it to Simulation/Desk.swift.")
        }
    }

    // MARK: what a decision covers

    /// Looks at a case as its operator does before he decides.
    ///
    /// - Returns: tells the oracle, once the decision stands.
    func foresee(_ item: CaseView, _ choice: Choice, _ desk: OperatorDesk, _ site: Site, by judge: Judge) throws -> () throws -> Void {
        guard let (form, key) = row(of: item), let before = try shown(key, at: desk.home) else { return {} }
        switch (item.kind, choice) {
        case (_, .handBack), (_, .distinct): return {}
        case ("life", .candidate(let number)): return try foreseeLife(item, key, before, number, desk, site, by: judge)
        case ("twins", _): return try foreseeMerge(item, form, key, before, desk, by: judge)
        default: break
        }
        // A broken rule: the cells in which the side taken differs are written.
        let isRule = item.kind == "rule"
        let cells = isRule ? form.groups.indices.map { (CellKey(row: key, group: $0), []) } : cells(of: item)
        return {
            guard let after = try self.shown(key, at: desk.home) else { return }
            for (cell, sides) in cells where !isRule || before[cell.group] != after[cell.group] {
                try self.rule(cell, after[cell.group]!, covering: sides + [before[cell.group]!], by: judge, at: desk.home)
                self.witness?.decided(cell, after[cell.group]!, at: site)
            }
        }
    }

    private func foreseeLife(
        _ item: CaseView, _ key: RowKey, _ before: [Int: String], _ number: Int, _ desk: OperatorDesk, _ site: Site, by judge: Judge
    ) throws -> () throws -> Void {
        guard item.candidates[number - 1].values["life"] == "dead" else {
            return {
                self.oracle.decideLife(key, by: judge)
                self.witness?.decidedLife(key, isAlive: true, at: site)
            }
        }
        var seen = before.mapValues { [$0] }
        // A delete answers the row's other cases too.
        for other in try desk.cases() where other.kind == "cell" && other.row == item.row && other.form == item.form {
            for (cell, words) in cells(of: other) where cell.row == key { seen[cell.group, default: []] += words }
        }
        return {
            self.oracle.decideDeath(key, seen: seen, by: judge)
            self.witness?.decidedLife(key, isAlive: false, at: site)
        }
    }

    private func foreseeMerge(
        _ item: CaseView, _ form: Form, _ key: RowKey, _ before: [Int: String], _ desk: OperatorDesk, by judge: Judge
    ) throws -> () throws -> Void {
        guard let other = item.otherRow.flatMap({ Int64($0) }) else { return {} }
        let otherKey = RowKey(scope: key.scope, form: key.form, id: other)
        guard item.otherSchool == item.school, let theirs = try shown(otherKey, at: desk.home) else { return {} }
        let (survivor, gone) = key.id < other ? (key, otherKey) : (otherKey, key)
        let (kept, lost) = key.id < other ? (before, theirs) : (theirs, before)
        return {
            guard let after = try self.shown(survivor, at: desk.home) else { return }
            for group in form.groups.indices {
                self.oracle.decide(CellKey(row: survivor, group: group), after[group]!, covering: [kept[group]!], by: judge)
            }
            self.oracle.decideDeath(gone, seen: lost.mapValues { [$0] }, by: judge)
        }
    }

    // MARK: taking back

    /// Takes one of the last decisions back.
    private func undo(_ desk: OperatorDesk, _ site: Site) throws {
        let last = try desk.journal().suffix(5).filter { $0.kind != "undo" && $0.undoneBy == nil && $0.who != "zzsync" && $0.number != 0 }
        guard let entry = dice.pick(Array(last)) else { return }
        let item = try desk.show(entry.number)
        guard row(of: item) != nil, try takeBack(entry.decision, of: [(item, entry.kind)], desk, site) != nil else { return }
        note("\(site.name) takes back its \(entry.kind) of \(item.form) \(item.row)")
    }

    /// - Parameter cases: what the decision was about; a bulk decides many.
    /// - Returns: what the journal says of it; nil when it was refused, or went with its process.
    func takeBack(
        _ decision: Int64, of cases: [(item: CaseView, kind: String)], _ desk: OperatorDesk, _ site: Site, refused: (Failure) -> Void = { _ in }
    ) throws -> JournalEntry? {
        let rows = cases.map { item, _ in
            row(of: item).map { _, key in [key] + (item.otherRow.flatMap { Int64($0) }.map { [RowKey(scope: key.scope, form: key.form, id: $0)] } ?? []) } ?? []
        }
        let judge = judge(site)
        let before = try rows.map { try $0.map { try shown($0, at: desk.home) } }
        let entry: JournalEntry
        do throws(Failure) {
            entry = try desk.undo(decision, verdict(judge))
        } catch {
            guard error.kind == .refused else { throw error }
            refused(error)
            return nil
        }
        guard stands(site) else { return nil }
        tallies.undone += 1
        // Of a bulk, what was written again since stays.
        let members = try entry.number == 0 ? desk.journal(batch: decision) : []
        for (index, (item, kind)) in cases.enumerated() {
            let isTaken = members.isEmpty || members.contains { $0.number == item.number && $0.undoneBy != nil }
            for (row, old) in zip(rows[index], before[index]) {
                guard let old, let new = try shown(row, at: desk.home) else { continue }
                for group in new.keys.sorted() where old[group] != new[group] {
                    oracle.decide(CellKey(row: row, group: group), new[group]!, covering: [old[group]!], by: judge)
                }
                if isTaken, kind == "merge" || item.kind == "life" && kind != "return" { oracle.decideLife(row, by: judge) }
            }
        }
        return entry
    }
}
