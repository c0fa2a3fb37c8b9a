import CZstd
import Foundation
import GRDB
import GRDBSQLite
import Hub
import Node
import Shared

struct Measures {
    let folder: String
    /// Rules off: no key, plain types. Rules on: key, lengths, types, five rules of their own.
    let bare: Catalogue
    let ruled: Catalogue
    let rows = Workload.school(0, rows: 5_000)

    init(folder: String) throws {
        self.folder = folder
        func catalogue(_ rules: Bool) throws -> Catalogue {
            let directory = "\(folder)/catalogue-\(rules)"
            for part in ["forms", "codes"] {
                try FileManager.default.createDirectory(atPath: "\(directory)/\(part)", withIntermediateDirectories: true)
            }
            try Workload.form(rules: rules).write(toFile: "\(directory)/forms/bench.student.toml", atomically: true, encoding: .utf8)
            return try CatalogueLoader.load(directory: directory)
        }
        bare = try catalogue(false)
        ruled = try catalogue(true)
    }

    private func place(_ name: String) -> String { "\(folder)/\(name)-\(UInt32.random(in: 0...UInt32.max))" }

    // MARK: plain SQLite

    /// The same typed table with its id, and nothing else.
    private func plainDatabase(synchronous: String = "NORMAL", scope: Bool = false) throws -> (OpaquePointer, String) {
        let path = place("plain")
        var handle: OpaquePointer?
        guard sqlite3_open(path, &handle) == SQLITE_OK, let handle else { throw CocoaError(.fileWriteUnknown) }
        let columns = Workload.columns.map { "\($0.id) \($0.isInteger ? "INTEGER" : "TEXT")" }.joined(separator: ", ")
        let key = scope ? "scope INT NOT NULL, id INT NOT NULL, \(columns), PRIMARY KEY (scope, id)" : "id INT PRIMARY KEY NOT NULL, \(columns)"
        sqlite3_exec(handle, "PRAGMA journal_mode = WAL; PRAGMA synchronous = \(synchronous); CREATE TABLE bench_student (\(key)) STRICT, WITHOUT ROWID", nil, nil, nil)
        return (handle, path)
    }

    private func insert(_ handle: OpaquePointer, _ rows: [[Value]], scope: Int64? = nil, firstID: Int64 = 1 << 40) {
        let marks = Array(repeating: "?", count: Workload.columns.count + (scope == nil ? 1 : 2)).joined(separator: ", ")
        var statement: OpaquePointer?
        sqlite3_exec(handle, "BEGIN IMMEDIATE", nil, nil, nil)
        sqlite3_prepare_v2(handle, "INSERT INTO bench_student VALUES (\(marks))", -1, &statement, nil)
        for (index, row) in rows.enumerated() {
            var parameter: Int32 = 1
            if let scope {
                sqlite3_bind_int64(statement, parameter, scope)
                parameter += 1
            }
            sqlite3_bind_int64(statement, parameter, firstID + Int64(index))
            for value in row {
                parameter += 1
                bind(statement, parameter, value)
            }
            sqlite3_step(statement)
            sqlite3_reset(statement)
        }
        sqlite3_finalize(statement)
        sqlite3_exec(handle, "COMMIT", nil, nil, nil)
    }

    private func bind(_ statement: OpaquePointer?, _ parameter: Int32, _ value: Value) {
        switch value {
        case .null: sqlite3_bind_null(statement, parameter)
        case .integer(let value): sqlite3_bind_int64(statement, parameter, value)
        case .real(let value): sqlite3_bind_double(statement, parameter, value)
        case .text(var value):
            value.withUTF8 { bytes in
                bytes.withMemoryRebound(to: CChar.self) {
                    _ = sqlite3_bind_text(statement, parameter, $0.baseAddress, Int32($0.count), unsafeBitCast(-1, to: sqlite3_destructor_type.self))
                }
            }
        }
    }

    /// Single-field updates, each its own transaction.
    private func edit(_ handle: OpaquePointer, _ edits: [Workload.Edit], firstID: Int64 = 1 << 40) {
        var statements: [Int: OpaquePointer] = [:]
        for edit in edits {
            if statements[edit.column] == nil {
                var statement: OpaquePointer?
                sqlite3_prepare_v2(handle, "UPDATE bench_student SET \(Workload.columns[edit.column].id) = ? WHERE id = ?", -1, &statement, nil)
                statements[edit.column] = statement
            }
            let statement = statements[edit.column]
            bind(statement, 1, edit.value)
            sqlite3_bind_int64(statement, 2, firstID + Int64(edit.row))
            sqlite3_step(statement)
            sqlite3_reset(statement)
        }
        for statement in statements.values { sqlite3_finalize(statement) }
    }

    // MARK: 1. capture

    private func node(_ catalogue: Catalogue) throws -> NodeHome {
        try NodeHome.create(
            place("node"), catalogue: catalogue,
            school: SchoolInfo(code: "3641000001", name: "基准", type: "vocational_continuing", region: nil))
    }

    /// A stranger's connection to a node's file: what capture costs him.
    private func stranger(_ node: NodeHome, synchronous: String) -> OpaquePointer {
        var handle: OpaquePointer?
        sqlite3_open(NodeHome.databasePath(node.directory), &handle)
        sqlite3_exec(handle, "PRAGMA synchronous = \(synchronous)", nil, nil, nil)
        return handle!
    }

    func capture(_ table: inout Table) throws {
        let load = try medians(
            ours: {
                let handle = stranger(try node(bare), synchronous: "NORMAL")
                defer { sqlite3_close(handle) }
                return milliseconds { insert(handle, rows) }
            },
            plain: {
                let (handle, _) = try plainDatabase()
                defer { sqlite3_close(handle) }
                return milliseconds { insert(handle, rows) }
            })
        table.add("1 tracked load, 5,000 rows in one transaction", ours: load.ours, plain: load.plain, unit: "ms", goal: 1.6)
        let edits = Workload.edits(rows, count: 1_000)
        for (mode, goal) in [("NORMAL", 1.2), ("FULL", 1.05)] {
            let tracked = stranger(try node(bare), synchronous: mode)
            let (plain, _) = try plainDatabase(synchronous: mode)
            defer {
                sqlite3_close(tracked)
                sqlite3_close(plain)
            }
            insert(tracked, rows)
            insert(plain, rows)
            sqlite3_exec(tracked, "DELETE FROM zz_mark", nil, nil, nil)
            let times = medians(ours: { milliseconds { edit(tracked, edits) } }, plain: { milliseconds { edit(plain, edits) } })
            table.add("1 1,000 edits in own transactions, \(mode)", ours: times.ours, plain: times.plain, unit: "ms", goal: goal)
        }
    }

    // MARK: 2. wire

    static func zstd19(_ bytes: [UInt8]) -> Int {
        var out = [UInt8](repeating: 0, count: ZSTD_compressBound(bytes.count))
        return ZSTD_compress(&out, out.count, bytes, bytes.count, 19)
    }

    /// A node that joined in name: its marks can be sealed.
    func joined(_ catalogue: Catalogue, scope: ScopeID) throws -> (NodeHome, NodeReplica) {
        let node = try node(catalogue)
        try node.database.write { db in
            try Meta.set(db, "scope", scope.key)
            try ScopeLink.create(db, scope)
        }
        return (node, NodeReplica(home: node, keys: SiteKeys()))
    }

    private func seal(_ node: NodeHome, _ replica: NodeReplica, _ scope: ScopeID) throws {
        _ = try node.database.write { try replica.seal($0, scope: scope, now: 1_790_000_000) }
    }

    func segments(_ node: NodeHome) throws -> [(first: Seq, last: Seq, bytes: [UInt8])] {
        try node.database.read { db in
            try Row.fetchAll(db, sql: "SELECT first, last, bytes FROM zz_outbox ORDER BY first").map {
                (Seq($0["first"]), Seq($0["last"]), Array($0["bytes"] as Data))
            }
        }
    }

    func wire(_ table: inout Table) throws {
        let scope = ScopeID(1)
        let (node, replica) = try joined(bare, scope: scope)
        let handle = stranger(node, synchronous: "NORMAL")
        defer { sqlite3_close(handle) }
        insert(handle, rows)
        let sealing = try milliseconds { try seal(node, replica, scope) }
        let loadFloor = Self.zstd19(Workload.columnwise(Workload.columns.indices.map { column in rows.map { $0[column] } }))
        var sent = 0
        func newBytes() throws -> Int {
            let all = try segments(node).reduce(0) { $0 + $1.bytes.count }
            defer { sent = all }
            return all - sent
        }
        table.add("2 load on the wire / zstd -19 of its columns", ours: Double(try newBytes()), plain: Double(loadFloor), unit: "bytes", goal: 0.75)
        let edits = Workload.edits(rows, count: 1_000)
        edit(handle, edits)
        try seal(node, replica, scope)
        let sorted = edits.sorted { ($0.column, $0.row) < ($1.column, $1.row) }
        let editFloor = Self.zstd19(
            Workload.columnwise([sorted.map { rows[$0.row][0] }, sorted.map { .text(Workload.columns[$0.column].id) }, sorted.map(\.value)]))
        table.add("2 1,000 edits / zstd -19", ours: Double(try newBytes()), plain: Double(editFloor), unit: "bytes", goal: 1.0)
        let column = Workload.columns.firstIndex { $0.id == "class_number" }!
        let promoted = rows.map { row -> Value in .text(String(Int(row[column].shown.prefix(4))! + 1) + row[column].shown.dropFirst(4)) }
        sqlite3_exec(handle, "BEGIN", nil, nil, nil)
        edit(handle, promoted.enumerated().map { Workload.Edit(row: $0.offset, column: column, value: $0.element) })
        sqlite3_exec(handle, "COMMIT", nil, nil, nil)
        try seal(node, replica, scope)
        let columnFloor = Self.zstd19(Workload.columnwise([rows.map { $0[0] }, promoted]))
        table.add("2 one column in all rows / zstd -19", ours: Double(try newBytes()), plain: Double(columnFloor), unit: "bytes", goal: 0.4)
        table.add("2 seal of the load, rows/s", ours: 5_000 / sealing * 1e3, plain: 0, unit: "rows/s", goal: 60_000, atLeast: true)
    }

    // MARK: 3. merge

    struct School {
        let scope: ScopeID
        let node: NodeHome
        let replica: NodeReplica
    }

    func school(_ number: Int, _ catalogue: Catalogue, rows: [[Value]]) throws -> School {
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

    func deliver(_ school: School, to hub: HubHome, after: Seq = .none) throws {
        for segment in try segments(school.node) where segment.first > after {
            try hub.inbox.store(
                segment.bytes, scope: school.scope, site: school.replica.keys.site, first: segment.first, last: segment.last,
                key: school.replica.keys.publicKeys.signing, now: 1_790_000_000)
        }
    }

    func merge(_ table: inout Table) async throws {
        let many = (0..<20).map { Workload.school($0, rows: 5_000) }
        for (catalogue, label, goal) in [(bare, "rules off", 2.0), (ruled, "all rules on", 5.0)] {
            let schools = try many.indices.map { try school($0, catalogue, rows: many[$0]) }
            for count in [1, 20] {
                var ours: [Double] = [], plain: [Double] = []
                for _ in 0..<(count == 1 ? 5 : 3) {
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
            let edits = Workload.edits(many[0], count: 1_000)
            let handle = stranger(schools[0].node, synchronous: "OFF")
            edit(handle, edits, firstID: 1 << 40)
            sqlite3_close(handle)
            let held = try segments(schools[0].node).last!.last
            try seal(schools[0].node, schools[0].replica, schools[0].scope)
            let ours = try await milliseconds {
                try deliver(schools[0], to: home, after: held)
                try await worker.drain()
            }
            let (plain, _) = try plainDatabase(synchronous: "FULL")
            insert(plain, many[0])
            let floor = milliseconds {
                sqlite3_exec(plain, "BEGIN", nil, nil, nil)
                edit(plain, edits)
                sqlite3_exec(plain, "COMMIT", nil, nil, nil)
            }
            sqlite3_close(plain)
            table.add("3 1,000 single-cell edits merged", ours: ours, plain: floor, unit: "ms", goal: 2.5)
        }
    }

    // MARK: 4. pull

    func pull(_ table: inout Table) async throws {
        let source = try school(0, bare, rows: rows)
        let (home, worker) = try hub(bare, [source])
        try deliver(source, to: home)
        try await worker.drain()
        let service = HubService(home, worker: worker)
        var pages: [[UInt8]] = []
        var after = Position.none
        while let page = try await service.logPage(source.scope, after: after, bytesMax: 1 << 20) {
            pages.append(page)
            after = try SegmentCodec.inspect(page).cursor
        }
        let fixed = pages
        var ours: [Double] = [], plain: [Double] = []
        for _ in 0..<5 {
            let (handle, _) = try plainDatabase(synchronous: "FULL")
            plain.append(milliseconds { insert(handle, rows) })
            sqlite3_close(handle)
            let (node, replica) = try joined(bare, scope: source.scope)
            let session = SyncSession(
                replica: replica, client: HubClient(Recorded(pages: fixed, keys: home.keys), keys: replica.keys, hub: home.keys.publicKeys, label: "bench"),
                hub: home.keys.publicKeys)
            ours.append(try await milliseconds { _ = try await session.run(push: false) })
            _ = node
        }
        table.add("4 pull at a fresh node", ours: ours.sorted()[2], plain: plain.sorted()[2], unit: "ms", goal: 2.5)
    }

    /// A line that answers hello and hands out recorded pages: what a pull costs the node.
    struct Recorded: Transport {
        let pages: [[UInt8]]
        let keys: SiteKeys

        func send(_ request: WireRequest) async throws(Failure) -> WireReply {
            var body: [UInt8] = []
            if request.target == WirePath.hello, let hello = WireJSON.decode(HelloRequest.self, from: request.body) {
                let end = (try? SegmentCodec.inspect(pages.last!).cursor.rawValue) ?? 0
                body = WireJSON.encode(
                    HelloReply(
                        scopes: hello.scopes.map { ScopeStanding(scope: $0.scope, received: 0, chain: "", merged: 0, logEnd: end) },
                        clock: 0, epoch: 1, catalogue: ""))
            } else if let after = Int64(request.target.split(separator: "after=").last?.split(separator: "&").first ?? "") {
                body = pages.first { (try? SegmentCodec.inspect($0).firstSeq.rawValue) == after } ?? []
            }
            return WireReply(
                status: 200,
                headers: [
                    ReplySignature.headerName.lowercased(): ReplySignature.header(status: 200, target: request.target, body: body, keys: keys)
                ], body: body)
        }
    }

    // MARK: 5. storage

    private func pages(_ database: DatabasePool, _ tables: (String) -> Bool) throws -> Int {
        try database.read { db in
            try Row.fetchAll(db, sql: "SELECT name, sum(pgsize) AS size FROM dbstat GROUP BY name").reduce(0) {
                tables($1["name"]) ? $0 + ($1["size"] as Int) : $0
            }
        }
    }

    func storage(_ table: inout Table) async throws {
        let (plain, path) = try plainDatabase()
        insert(plain, rows)
        sqlite3_exec(plain, "PRAGMA wal_checkpoint(TRUNCATE)", nil, nil, nil)
        sqlite3_close(plain)
        let floor = Double((try FileManager.default.attributesOfItem(atPath: path)[.size] as? NSNumber)?.intValue ?? 0)
        let source = try school(0, bare, rows: rows)
        let (home, worker) = try hub(bare, [source])
        try deliver(source, to: home)
        try await worker.drain()
        try await source.node.database.write { try Pending.settle($0, scope: source.scope, upTo: Seq(Int64.max), judged: Seq(Int64.max)) }
        let empty = try node(bare)
        let schema = try pages(empty.database) { _ in true }
        let settled = try pages(source.node.database) { !$0.hasPrefix("zz_outbox") }
        table.add("5 node after settling (without kept segments)", ours: Double(settled - schema), plain: floor, unit: "bytes", goal: 1.05)
        let hubTables = try pages(home.database) { $0.hasPrefix("bench_student") || $0.hasPrefix("zz_claim") || $0.hasPrefix("zz_stamp") || $0.hasPrefix("zz_extent") }
        table.add("5 hub after merging (without history)", ours: Double(hubTables), plain: floor, unit: "bytes", goal: 1.15)
    }
}
