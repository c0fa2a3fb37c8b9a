// What must hold on the way, and what must hold when a simulated country has come to rest.

import Foundation
import GRDB
import Hub
import Node
import Shared

extension Country {
    func expect(_ holds: Bool, _ what: @autoclosure () -> String) {
        if !holds, failures.count < 50 { failures.append(what()) }
    }

    // MARK: on the way

    /// At any moment: counts add up, nobody is ahead of whom he knows it from, and no hub has forgotten what it once showed.
    func inspectOnTheWay() {
        for site in sites where site.isUp && !site.fuse.isBlown {
            do {
                if site.isHub { try inspectHub(site) }
                if let parent = site.parent, parent.isUp, !site.isCopied, !parent.isPutBack {
                    try inspectLink(site, parent)
                    try inspectCells(site, parent)
                }
            } catch {
                failures.append("\(site.name) cannot be inspected: \(error)")
            }
        }
    }

    private func inspectHub(_ site: Site) throws {
        let home = site.hub!.home
        let cells = try home.status().cells
        let ended = ["merged", "equal", "disputed", "overtaken"].reduce(0) { $0 + cells[$1]! }
        expect(cells["sent"] == ended, "\(site.name): of \(cells["sent"]!) cells sent \(ended) ended: \(cells)")
        try home.database.read { db in
            let doubled = try Int.fetchOne(
                db,
                sql: """
                    SELECT count(*) FROM (SELECT 1 FROM zz_case WHERE closed_at IS NULL AND kind <> 'twins'
                      GROUP BY kind, scope, form, id, field_group, other_id HAVING count(*) > 1)
                    """)!
            expect(doubled == 0, "\(site.name): \(doubled) cells have two open cases")
        }
        try inspectRequests(of: site)
        try inspectMemory(of: site)
    }

    /// A change request has closed itself as soon as what it asks for stands; what an open case shows meanwhile does not stand.
    private func inspectRequests(of site: Site) throws {
        let cases = try OperatorDesk(site.hub!.home).cases()
        for item in cases where item.kind == "owner" {
            if cases.contains(where: { $0.kind == "cell" && $0.form == item.form && $0.row == item.row && $0.group == item.group }) { continue }
            let agrees = item.candidates.dropFirst().contains { $0.values == item.shown }
            expect(!agrees, "\(site.name): request \(item.number) is open though what it asks for stands: \(describe(item))")
        }
    }

    /// What a hub showed or asked about at the last look it must show, ask about, or have seen overwritten or deleted by someone who
    /// knew; or a hub above asks about it, and shows the other side meanwhile, or has answered, and the answer is on its way down.
    private func inspectMemory(of site: Site) throws {
        let home = site.hub!.home
        var present: [CellKey: Set<String>] = [:]
        for form in catalogue.forms {
            for (key, life, words) in try rows(form, at: home) where life == 1 {
                for (group, word) in words where form.groups[group].policy == .manual {
                    present[CellKey(row: key, group: group), default: []].insert(word)
                }
            }
        }
        for item in try OperatorDesk(home).cases(kind: "cell") {
            for (cell, words) in cells(of: item) where present[cell] != nil { present[cell]!.formUnion(words) }
        }
        for (cell, before) in memories[site.name] ?? [:] {
            guard let now = present[cell] else { continue }
            for word in before where oracle.cells[cell]?[word]?.isEntry == true {
                try expect(
                    now.contains { oracle.known(cell, $0).contains(word) } || oracle.isInDeath(cell, word) || isKept(cell, word, above: site),
                    "\(site.name) has forgotten '\(word)' of \(describe(cell)); it shows \(now.sorted())")
            }
        }
        memories[site.name] = present
    }

    private func isKept(_ cell: CellKey, _ word: String, above site: Site) throws -> Bool {
        guard let parent = site.parent else { return false }
        // A parent that is down cannot be read; it forgets nothing meanwhile. One that was put back is told again what it has lost.
        guard parent.isUp, isResting || !parent.isPutBack, let home = parent.hub?.home else { return true }
        if let there = try shown(cell.row, at: home)?[cell.group], oracle.known(cell, there).contains(word) { return true }
        return try OperatorDesk(home).cases(kind: "cell").contains { item in
            cells(of: item).contains { $0.cell == cell && $0.words.contains(word) }
        } || isKept(cell, word, above: parent)
    }

    private func inspectLink(_ site: Site, _ parent: Site) throws {
        let own = try site.uplinkKeys().site
        let links = try site.database.read { db in try ScopeLink.all(db).map { try ScopeLink.load(db, $0)! } }
        for link in links {
            let head = try parent.hub!.home.inbox.head(link.scope, own).last
            let logEnd = try parent.database.read { db in
                try Int64.fetchOne(db, sql: "SELECT log_end FROM zz_scope WHERE scope = ?", arguments: [link.scope.key]) ?? 0
            }
            let text = "\(site.name) in scope \(link.scope)"
            expect(link.received <= head, "\(text): believes that \(parent.name) holds \(link.received), it holds \(head)")
            expect(link.merged <= link.received || link.merged <= head, "\(text): merged \(link.merged), received \(link.received)")
            expect(head <= link.sealed, "\(text): sealed \(link.sealed), \(parent.name) holds \(head)")
            expect(link.cursor.rawValue <= logEnd, "\(text): cursor \(link.cursor) beyond the log's end \(Position(logEnd))")
        }
    }

    // MARK: at rest

    func inspectAtRest() {
        do {
            for site in hubs {
                let status = try site.hub!.home.status()
                expect(status.openCases == 0, "\(site.name): \(status.openCases) cases are open at rest")
                expect(status.waiting == 0, "\(site.name): \(status.waiting) segments wait")
                for segment in try site.hub!.home.inbox.quarantined() {
                    expect(false, "\(site.name): segment \(segment.number) lies in quarantine: \(segment.reason)")
                }
                try inspectHub(site)
                try inspectJointRows(of: site)
            }
            // A copied node has several incarnations, whose seqs overlap: its digests and its history are looked at, not its counts.
            for site in sites where site.parent != nil && !site.isCopied {
                try inspectLink(site, site.parent!)
                try inspectCells(site, site.parent!)
            }
            for site in hubs { tallies.count(.requestAgreed, try OperatorDesk(site.hub!.home).requests(all: true).count { $0.state == .agreed }) }
            for school in 0..<plan.schools { try inspectDigests(school) }
            try inspectHistory()
        } catch {
            failures.append("the inspection stopped: \(error)")
        }
    }

    private func inspectDigests(_ school: Int) throws {
        let code = schoolCode(school)
        let home = nodes.first { $0.school == school }!.parent!
        var replicas: [(String, [String: (digest: String, rows: Int)])] = []
        for site in nodes where site.school == school { replicas.append((site.name, try site.node!.digests())) }
        var hub: Site? = home
        while let site = hub {
            replicas.append((site.name, try site.hub!.home.digests(school: code)))
            hub = site.parent
        }
        for form in catalogue.forms {
            let found = replicas.map { "\($0.0) \($0.1[form.id]!.rows) rows \($0.1[form.id]!.digest.prefix(8))" }
            let digests = Set(replicas.map { $0.1[form.id]!.digest })
            guard digests.count > 1 else { continue }
            let rows = try differences(form, school)
            expect(false, "school \(Self.letters(school)): \(form.id) differs: \(found.joined(separator: ", ")); \(rows)")
        }
    }

    /// The first row in which two hubs differ, as each has it.
    private func differences(_ form: Form, _ school: Int) throws -> String {
        var shown: [RowKey: [(hub: String, text: String)]] = [:]
        for site in hubs {
            for (key, life, words) in try rows(form, at: site.hub!.home) where key.scope == scopes[school].rawValue && life == 1 {
                shown[key, default: []].append((site.name, words.sorted { $0.key < $1.key }.map(\.value).joined(separator: " | ")))
            }
        }
        let apart = shown.filter { _, found in Set(found.map(\.text)).count > 1 || found.count < hubs.count }
        guard let (key, found) = apart.min(by: { $0.key.id < $1.key.id }) else { return "the hubs agree" }
        return "row \(key.id): \(found.map { "\($0.hub) \($0.text)" }.joined(separator: "; "))"
    }

    /// Every write is in the history of what stands, in a delete's that had seen it, or in a journal.
    private func inspectHistory() throws {
        if sites.contains(where: { $0.isCopied }) { oracle.remember(try held()) }
        var journal = lostJournal
        for site in hubs { try readJournal(of: site.hub!.home, into: &journal) }
        // At a hub that heard of a row only when it was dead its tombstone is empty: every hub's is asked.
        var states: [RowKey: [(life: Int, words: [Int: String])]] = [:]
        for site in hubs {      // the ministry first
            for form in catalogue.forms {
                for (key, life, words) in try rows(form, at: site.hub!.home) { states[key, default: []].append((life, words)) }
            }
        }
        for (key, found) in states {
            let form = catalogue[number: key.form]!
            if found[0].life == 1 {
                inspect(living: key, form, found[0].words, journal.overwritten)
            } else {
                let merges = journal.merges.filter { $0.hasPrefix("rows ") && $0.contains("\(key.id) ") }
                var seen = merges.isEmpty ? [] : found.map { (key, $0.words) }
                // A tombstone that came back to a hub which was put back holds nothing: what both rows said stands in the survivor.
                for id in merges.compactMap({ $0.split(separator: " ").last.flatMap { Int64($0) } }) {
                    let survivor = RowKey(scope: key.scope, form: key.form, id: id)
                    seen += (states[survivor] ?? []).map { (survivor, $0.words) }
                }
                inspect(dead: key, form, seen, journal.overwritten)
            }
        }
        // What no hub has heard of was deleted before it left its node.
        for key in oracle.rows where states[key] == nil { inspect(dead: key, catalogue[number: key.form]!, [], journal.overwritten) }
    }

    private func inspect(living key: RowKey, _ form: Form, _ words: [Int: String], _ journal: [CellKey: Set<String>]) {
        for (group, word) in words.sorted(by: { $0.key < $1.key }) {
            let cell = CellKey(row: key, group: group)
            expect(oracle.isKnownValue(cell, word), "'\(word)' stands in \(describe(cell)), and nobody wrote it")
            for (value, entry) in oracle.unknown(cell, to: word) where !isJournalled(value, in: cell, journal) {
                expect(false, "LOST: '\(value)' by \(entry.author) in \(describe(cell)); '\(word)' stands there")
            }
        }
        for death in oracle.unanswered(key) { expect(false, "LOST: the delete of \(describe(key)) by \(death.author): it lives") }
    }

    /// - Parameter mergedFrom: what its tombstones and the survivor hold, if it was merged into another row by someone who saw both.
    private func inspect(dead key: RowKey, _ form: Form, _ mergedFrom: [(row: RowKey, words: [Int: String])], _ journal: [CellKey: Set<String>]) {
        var tombstone: [Int: Set<String>] = [:]
        for (row, words) in mergedFrom {
            for (group, word) in words { tombstone[group, default: []].formUnion(oracle.known(CellKey(row: row, group: group), word)) }
        }
        for (value, entry) in oracle.unseen(key, groups: form.groups.indices, tombstone: tombstone) {
            let isOverruled = form.groups.indices.contains { isJournalled(value, in: CellKey(row: key, group: $0), journal) }
            expect(isOverruled, "LOST: '\(value)' by \(entry.author) in \(describe(key)), which was deleted unseen")
        }
    }

    /// A policy has written it down, or what was written over it by someone who knew it.
    private func isJournalled(_ value: String, in cell: CellKey, _ journal: [CellKey: Set<String>]) -> Bool {
        journal[cell]?.contains { oracle.known(cell, $0).contains(value) } == true
    }

    // MARK: reading a hub

    /// What policies overwrote by themselves, and wrote down; which rows were merged into others.
    func readJournal(of home: HubHome, into journal: inout Journal) throws {
        try home.database.read { db in
            journal.merges.formUnion(
                try String.fetchAll(db, sql: "SELECT taken FROM zz_decision WHERE kind = 'merge' AND undone_by IS NULL"))
            let rows = try Row.fetchCursor(db, sql: "SELECT scope, form, id, field_group, old FROM zz_history WHERE field_group <> 0 AND cut IS NULL")
            while let row = try rows.next() {
                guard let form = catalogue[number: row["form"]],
                    let group = form.groups.firstIndex(where: { $0.number == row["field_group"] as Int }),
                    form.groups[group].policy != .manual
                else { continue }
                let key = RowKey(scope: ScopeID(key: row["scope"]).rawValue, form: form.number, id: row["id"])
                journal.overwritten[CellKey(row: key, group: group), default: []].insert(Entries.word(ValuesJSON.decode(row["old"])))
            }
        }
    }

    /// Every row of a form at a hub: key, life, group → word.
    func rows(_ form: Form, at home: HubHome) throws -> [(RowKey, Int, [Int: String])] {
        try home.database.read { db in
            guard let (table, columns) = try columns(form, home.versions, db) else { return [] }
            let select = try HotStatement(db, "SELECT scope, id, _life, \(columns) FROM \(table) ORDER BY scope, id")
            defer { select.reset() }
            var rows: [(RowKey, Int, [Int: String])] = []
            while try select.step() {
                let values = form.fields.indices.map { select.value($0 + 3) }
                let key = RowKey(scope: ScopeID(key: select.integer(0)).rawValue, form: form.number, id: select.integer(1))
                let words = Dictionary(uniqueKeysWithValues: form.groups.indices.map { ($0, Entries.word(form, $0, values)) })
                rows.append((key, Int(select.integer(2)), words))
            }
            return rows
        }
    }

    private func describe(_ key: RowKey) -> String {
        "\(catalogue[number: key.form]!.table) \(key.id) of \(Self.letters(scopes.firstIndex { $0.rawValue == key.scope } ?? 0))"
    }

    private func describe(_ cell: CellKey) -> String {
        "\(catalogue[number: cell.row.form]!.groups[cell.group].name) of \(describe(cell.row))"
    }
}

/// What hubs have written down of what they did by themselves.
struct Journal {
    var overwritten: [CellKey: Set<String>] = [:]
    var merges: Set<String> = []
}
