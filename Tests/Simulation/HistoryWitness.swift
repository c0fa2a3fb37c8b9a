import GRDB

@testable import Hub
@testable import Shared
@testable import zzsync

/// Writes down what happens in a played country, for Tests/models/country_run.py: one history a school, for schools share nothing that
/// the rules know of. One record a line: a letter, then integers, apart by blanks.
///
///     N site parent isnode              a replica of the school's tree, parents first; groups of the widest form come after G
///     W row group...                    its groups that are decided by time
///     I site row value...               a new row: a value each group; E site row group value · D site row
///     d site row group value            a case of a cell decided; k site row life: one of a row's life
///     s site seq                        it has sealed up to this change of its own
///     i hub child seq position          the hub has merged a child's segments up to this change; its log ends here then
///     p hub position                    its log ends here after something else
///     c site position                   it has pulled its parent's log up to there
@SimulationActor final class HistoryWitness: Witness {
    private let country: Country
    private var lines: [UInt64: [String]] = [:]
    private var rows: [RowKey: Int] = [:]
    private var values: [CellKey: [String: Int]] = [:]
    private var newestValue = 1_000_000
    /// Site and scope → its own seqs, and its cursor; hub and scope → the end of its log.
    private var sealed: [String: Int64] = [:], cursors: [String: Int64] = [:], ends: [String: Int64] = [:]
    private let groups: Int

    init(_ country: Country) {
        self.country = country
        groups = country.catalogue.forms.map(\.groups.count).max()!
        for (school, scope) in country.scopes.enumerated() {
            var tree: [Site] = []
            for node in country.nodes where node.school == school {
                var site: Site? = node
                while let next = site {
                    if !tree.contains(where: { $0 === next }) { tree.append(next) }
                    site = next.parent
                }
            }
            lines[scope.rawValue] = ["G \(groups)"] + tree.sorted { $0.number < $1.number }.map {
                "N \($0.number) \($0.parent?.number ?? 0) \($0.isHub ? 0 : 1)"
            }
        }
    }

    /// Every school's history.
    var histories: [String] { lines.keys.sorted().map { lines[$0]!.joined(separator: "\n") + "\n" } }

    private func say(_ scope: UInt64, _ line: String) { lines[scope]?.append(line) }

    private func number(_ row: RowKey) -> Int {
        if rows[row] == nil { rows[row] = rows.count + 1 }
        return rows[row]!
    }

    private func value(_ cell: CellKey, _ word: String) -> Int {
        if let known = values[cell]?[word] { return known }
        newestValue += 1
        values[cell, default: [:]][word] = newestValue
        return newestValue
    }

    // MARK: writes and decisions

    func wrote(_ row: RowKey, _ words: [Int: String], isNew: Bool, at site: Site) {
        if isNew {
            let form = country.catalogue[number: row.form]!
            let timed = form.groups.indices.filter { form.groups[$0].policy == .newest }
            say(row.scope, "W \(number(row)) " + timed.map(String.init).joined(separator: " "))
            let all = (0..<groups).map { group in words[group].map { value(CellKey(row: row, group: group), $0) } ?? 0 }
            return say(row.scope, "I \(site.number) \(number(row)) " + all.map(String.init).joined(separator: " "))
        }
        for (group, word) in words.sorted(by: { $0.key < $1.key }) {
            say(row.scope, "E \(site.number) \(number(row)) \(group) \(value(CellKey(row: row, group: group), word))")
        }
    }

    func deleted(_ row: RowKey, at site: Site) { say(row.scope, "D \(site.number) \(number(row))") }

    func decided(_ cell: CellKey, _ word: String, at site: Site) {
        say(cell.row.scope, "d \(site.number) \(number(cell.row)) \(cell.group) \(value(cell, word))")
    }

    func decidedLife(_ row: RowKey, isAlive: Bool, at site: Site) {
        say(row.scope, "k \(site.number) \(number(row)) \(isAlive ? 1 : 2)")
    }

    // MARK: what its files say

    func look(at site: Site) throws {
        try site.database.read { db in
            for scope in try ScopeLink.all(db) {
                guard let link = try ScopeLink.load(db, scope) else { continue }
                let name = "\(site.number) \(scope)"
                if link.sealed.rawValue > sealed[name] ?? 0 { say(scope.rawValue, "s \(site.number) \(link.sealed.rawValue)") }
                if link.cursor.rawValue > cursors[name] ?? 0 { say(scope.rawValue, "c \(site.number) \(link.cursor.rawValue)") }
                (sealed[name], cursors[name]) = (link.sealed.rawValue, link.cursor.rawValue)
            }
            if site.isHub { try lookAtLogs(of: site, db) }
        }
    }

    private func lookAtLogs(of hub: Site, _ db: Database) throws {
        for scope in country.scopes {
            let name = "\(hub.number) \(scope)"
            let sql = "SELECT last, site, last_seq FROM zz_extent WHERE scope = ? AND last > ? ORDER BY last"
            for row in try Row.fetchAll(db, sql: sql, arguments: [scope.key, ends[name] ?? 0]) {
                let (end, child, seq): (Int64, Int64, Int64) = (row["last"], row["site"], row["last_seq"])
                ends[name] = end
                if let child = country.sites.first(where: { $0.keys.site.key == child }), child.parent === hub {
                    say(scope.rawValue, "i \(hub.number) \(child.number) \(seq) \(end)")
                } else {
                    say(scope.rawValue, "p \(hub.number) \(end)")
                }
            }
        }
    }
}
