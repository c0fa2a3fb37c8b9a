// 3. The hub's merge: whole schools, a segment that comes twice, single edits. The plain side writes the same rows to the same table.

import Foundation
import GRDB
import GRDBSQLite
import Hub
import Node
import Shared

extension Measures {
    struct School {
        let scope: ScopeID
        let node: NodeHome
        let replica: NodeReplica
    }

    func school(_ number: Int, _ catalogue: Catalogue, rows: PlainRows) throws -> School {
        let scope = ScopeID(UInt64(number + 1))
        let (node, replica) = try joined(catalogue, scope: scope)
        let handle = stranger(node, synchronous: "OFF")
        insert(handle, rows, firstID: Int64(number + 1) << 40)
        sqlite3_close(handle)
        try seal(node, replica, scope)
        return School(scope: scope, node: node, replica: replica)
    }

    /// A hub that knows these schools.
    func hub(_ catalogue: Catalogue, _ schools: [School]) throws -> (HubHome, MergeWorker) {
        let home = try HubHome.create(place("hub"), catalogue: catalogue, identity: HubIdentity(level: "province", code: "41", name: "基准"))
        try home.database.write { db in
            for school in schools {
                try db.execute(
                    sql: "INSERT INTO zz_scope (scope, school) VALUES (?, ?)",
                    arguments: [school.scope.key, "{\"code\":\"\(school.scope.rawValue)\",\"name\":\"\",\"type\":\"\"}"])
                let keys = school.replica.keys.publicKeys
                try db.execute(
                    sql: "INSERT INTO zz_site (site, scope, label, signing_key, agreement_key, enrolled_at) VALUES (?, ?, '', ?, ?, 0)",
                    arguments: [keys.site.key, school.scope.key, Data(keys.signing), Data(keys.agreement)])
            }
        }
        return (home, MergeWorker(home, now: { 1_790_000_000 }))
    }

    func deliver(_ school: School, to hub: HubHome, after: Seq = .none, upTo end: Seq = Seq(Int64.max)) throws {
        for segment in try segments(school.node) where segment.first > after && segment.last <= end {
            try hub.inbox.store(
                segment.bytes, scope: school.scope, site: school.replica.keys.site, first: segment.first, last: segment.last,
                key: school.replica.keys.publicKeys.signing, now: 1_790_000_000)
        }
    }

    func merge(_ table: inout Table) async throws {
        let many = (0..<20).map { PlainRows(Workload.school($0, rows: 5_000)) }
        for (catalogue, label, goal) in [(bare, "rules off", 2.0), (ruled, "all rules on", 5.0)] {
            let schools = try many.indices.map { try school($0, catalogue, rows: many[$0]) }
            for count in [1, 20] {
                var ours: [Double] = [], plain: [Double] = []
                for _ in 0..<5 {
                    let (handle, _) = try plainDatabase(synchronous: "FULL", scope: true)
                    plain.append(milliseconds { for index in 0..<count { insert(handle, many[index], scope: Int64(index + 1)) } })
                    sqlite3_close(handle)
                    let (home, worker) = try hub(catalogue, schools)
                    ours.append(try await milliseconds {
                        for index in 0..<count { try deliver(schools[index], to: home) }
                        try await worker.drain()
                    })
                }
                let middle = ours.count / 2
                table.add(
                    "3 merge of \(count) school\(count == 1 ? "" : "s"), \(label)", ours: ours.sorted()[middle], plain: plain.sorted()[middle],
                    unit: "ms", goal: goal)
            }
            guard label == "rules off" else { continue }
            let (home, worker) = try hub(catalogue, [schools[0]])
            try deliver(schools[0], to: home)
            let first = try await milliseconds { try await worker.drain() }
            let again = try await milliseconds {
                try deliver(schools[0], to: home)
                try await worker.drain()
            }
            table.add("3 a segment delivered twice", ours: again, plain: first, unit: "ms", goal: 0.05)
        }
    }

    /// A day's typing of a school: 1,000 cells of 1,000 rows that the hub has.
    func singleEdits(_ table: inout Table) async throws {
        let source = try school(0, bare, rows: plainRows)
        let load = try segments(source.node)
        let edits = Workload.edits(rows, count: 1_000)
        let handle = stranger(source.node, synchronous: "OFF")
        edit(handle, edits, firstID: 1 << 40)
        sqlite3_close(handle)
        try seal(source.node, source.replica, source.scope)
        var ours: [Double] = [], plain: [Double] = []
        for _ in 0..<9 {
            let (floor, _) = try plainDatabase(synchronous: "FULL")
            insert(floor, plainRows)
            plain.append(milliseconds {
                sqlite3_exec(floor, "BEGIN", nil, nil, nil)
                edit(floor, edits)
                sqlite3_exec(floor, "COMMIT", nil, nil, nil)
            })
            sqlite3_close(floor)
            let (home, worker) = try hub(bare, [source])
            try deliver(source, to: home, upTo: load.last!.last)
            try await worker.drain()
            ours.append(try await milliseconds {
                try deliver(source, to: home, after: load.last!.last)
                try await worker.drain()
            })
        }
        table.add("3 1,000 single-cell edits merged", ours: ours.sorted()[4], plain: plain.sorted()[4], unit: "ms", goal: 2.5)
    }
}
