// How decisions come down: the oracle must know which hubs held the chosen value already when they were told.
//
// There nothing moves, and what is written over the value then goes up with a cursor that has passed the decision, though its author wrote
// before it was made (seed 1030: the province decides for the month that the city has had all along; a school had changed that month days
// before, and syncs days later). In the model two writes of one value converge where they meet, from then on and for whoever wrote over
// either (`converge` in Tests/models/whole_state.py); the oracle's histories are taken down when somebody writes.
//
// Two designs: count every decision for a word that somebody had seen (short, but it hides a hub that does not judge its children's writes by
// its own decisions), or follow each to the hubs below. The second: a decision counts below a hub that held its value before and
// after the page that told it, and nowhere else.

import GRDB
import Hub
import Shared

/// A decision in the log of a hub.
struct Descent {
    let cell: CellKey
    let value: String
    let author: String
    let hub: String
    let end: Position
    /// Children of the hub that showed the value at the last look, and those whose cursor had passed it.
    var showed: Set<String> = []
    var passed: Set<String> = []
}

extension Country {
    /// An operator's answer for a cell.
    func rule(_ cell: CellKey, _ value: String, covering seen: [String], by judge: Judge, at home: HubHome) throws {
        oracle.decide(cell, value, covering: seen, by: judge)
        try descend(cell, value, by: judge.author, from: judge.site, home)
    }

    private func descend(_ cell: CellKey, _ value: String, by author: String, from hub: String, _ home: HubHome) throws {
        guard sites.contains(where: { $0.isHub && $0.parent?.name == hub }) else { return }
        let end = try home.database.read { db in
            try Int64.fetchOne(db, sql: "SELECT log_end FROM zz_scope WHERE scope = ?", arguments: [ScopeID(cell.row.scope).key])!
        }
        descents.append(Descent(cell: cell, value: value, author: author, hub: hub, end: Position(end)))
    }

    /// Looks at a hub before and after each page that it may have applied.
    func followRulings(to site: Site) {
        guard let home = site.hub?.home, let parent = site.parent, !site.fuse.isBlown else { return }
        do {
            for index in descents.indices where descents[index].hub == parent.name {
                let descent = descents[index]
                let cursor = try home.database.read { try ScopeLink.load($0, ScopeID(descent.cell.row.scope))?.cursor } ?? .none
                let shows = try shown(descent.cell.row, at: home)?[descent.cell.group] == descent.value
                // In a later epoch of the parent the decision may be lost, and another one stand at its position.
                let passes = cursor >= descent.end && cursor.epoch == descent.end.epoch
                if passes, shows, !descent.passed.contains(site.name) {
                    if descent.showed.contains(site.name) { oracle.meet(descent.cell, descent.value, by: descent.author, below: below(site)) }
                    try descend(descent.cell, descent.value, by: descent.author, from: site.name, home)
                }
                if shows { descents[index].showed.insert(site.name) } else { descents[index].showed.remove(site.name) }
                if passes { descents[index].passed.insert(site.name) } else { descents[index].passed.remove(site.name) }
            }
        } catch {
            failures.append("\(site.name) cannot be followed: \(error)")
        }
    }

    private func below(_ hub: Site) -> Set<String> {
        func isBelow(_ site: Site) -> Bool { site.parent.map { $0 === hub || isBelow($0) } ?? false }
        return Set(sites.filter(isBelow).map(\.name))
    }
}
