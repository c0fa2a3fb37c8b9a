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
    /// The same, for raw SQLite.
    let plainRows: PlainRows

    /// Where the products read `bare` from.
    var bareFolder: String { "\(folder)/catalogue-bare" }

    init(folder: String) throws {
        self.folder = folder
        plainRows = PlainRows(rows)
        bare = try Self.catalogue("\(folder)/catalogue-bare", [("bench.student", Workload.form(rules: false))])
        ruled = try Self.catalogue("\(folder)/catalogue-ruled", [("bench.student", Workload.form(rules: true))])
    }

    func catalogue(_ name: String, _ forms: [(id: String, toml: String)]) throws -> Catalogue { try Self.catalogue("\(folder)/catalogue-\(name)", forms) }

    private static func catalogue(_ directory: String, _ forms: [(id: String, toml: String)]) throws -> Catalogue {
        for part in ["forms", "codes"] {
            try FileManager.default.createDirectory(atPath: "\(directory)/\(part)", withIntermediateDirectories: true)
        }
        // The hub invites schools of a type: this one code table is the catalogue's own.
        try "code\tname\nvocational_continuing\t基准\n".write(toFile: "\(directory)/codes/school_type.tsv", atomically: true, encoding: .utf8)
        for form in forms { try form.toml.write(toFile: "\(directory)/forms/\(form.id).toml", atomically: true, encoding: .utf8) }
        return try CatalogueLoader.load(directory: directory)
    }

    func place(_ name: String) -> String { "\(folder)/\(name)-\(UInt32.random(in: 0...UInt32.max))" }

    // MARK: 1. capture

    func node(_ catalogue: Catalogue) throws -> NodeHome {
        try NodeHome.create(
            place("node"), catalogue: catalogue,
            school: SchoolInfo(code: "3641000001", name: "基准", type: "vocational_continuing", region: nil))
    }

    /// A stranger's connection to a node's file: what capture costs him.
    func stranger(_ node: NodeHome, synchronous: String) -> OpaquePointer {
        var handle: OpaquePointer?
        // Without mutexes, as plain SQLite's side: what is measured is capture.
        sqlite3_open_v2(NodeHome.databasePath(node.directory), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nil)
        sqlite3_exec(handle, "PRAGMA synchronous = \(synchronous)", nil, nil, nil)
        return handle!
    }

    func capture(_ table: inout Table) throws {
        let load = try medians(
            ours: {
                let handle = stranger(try node(bare), synchronous: "NORMAL")
                defer { sqlite3_close(handle) }
                return milliseconds { insert(handle, plainRows) }
            },
            plain: {
                let (handle, _) = try plainDatabase()
                defer { sqlite3_close(handle) }
                return milliseconds { insert(handle, plainRows) }
            })
        table.add("1 tracked load, 5,000 rows in one transaction", ours: load.ours, plain: load.plain, unit: "ms", goal: 1.6)
        for (mode, goal) in [("NORMAL", 1.2), ("FULL", 1.05)] { try edits(&table, synchronous: mode, goal: goal) }
    }

    /// Days of typing. Each has other values, for what stands there already is no change, and begins as after a sync, without marks, with an
    /// empty log; each side pays for the checkpoint of all that it wrote.
    private func edits(_ table: inout Table, synchronous mode: String, goal: Double) throws {
        let tracked = stranger(try node(bare), synchronous: mode)
        let (plain, _) = try plainDatabase(synchronous: mode)
        let (keyed, _) = try textKeyDatabase(synchronous: mode)
        defer { for handle in [tracked, plain, keyed] { sqlite3_close(handle) } }
        for handle in [tracked, plain] { insert(handle, plainRows) }
        insert(keyed, plainRows, firstID: nil)
        let keys = rows.map { $0[0].shown }
        var days: [(ours: Double, plain: Double, keyed: Double)] = []
        for day in 0..<25 {
            let edits = Workload.edits(rows, count: 1_000, day: day)
            sqlite3_exec(tracked, "DELETE FROM zz_mark", nil, nil, nil)
            func time(_ handle: OpaquePointer, keys: [String]? = nil) -> Double {
                sqlite3_exec(handle, "PRAGMA wal_checkpoint(TRUNCATE)", nil, nil, nil)
                return milliseconds {
                    edit(handle, edits, keys: keys)
                    sqlite3_exec(handle, "PRAGMA wal_checkpoint", nil, nil, nil)
                }
            }
            days.append((time(tracked), time(plain), time(keyed, keys: keys)))
        }
        func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
        let ours = median(days.map(\.ours))
        table.add("1 1,000 edits in own transactions, \(mode)", ours: ours, plain: median(days.map(\.plain)), unit: "ms", goal: goal)
        table.add("1 the same against the text-key table, \(mode)", ours: ours, plain: median(days.map(\.keyed)), unit: "ms", goal: goal)
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

    func seal(_ node: NodeHome, _ replica: NodeReplica, _ scope: ScopeID) throws {
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
        insert(handle, plainRows)
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
        try smallSegments(&table, node, replica, scope, handle)
        try unpredicted(&table)
        table.add("2 seal of the load, rows/s", ours: 5_000 / sealing * 1e3, plain: 0, unit: "rows/s", goal: 60_000, atLeast: true)
    }

    /// Segments of 1 to 8 edits, as an hour of typing makes them; what the dictionary saves of their bodies.
    private func smallSegments(
        _ table: inout Table, _ node: NodeHome, _ replica: NodeReplica, _ scope: ScopeID, _ handle: OpaquePointer
    ) throws {
        let before = try segments(node).last!.last
        var edits = Workload.edits(rows, count: 400)[...]
        for count in 0..<100 {
            edit(handle, Array(edits.prefix(1 + count % 8)))
            edits = edits.dropFirst(1 + count % 8)
            try seal(node, replica, scope)
        }
        let small = try segments(node).filter { $0.first > before }
        let plain = try small.reduce(0) { sum, segment in
            let frame = segment.bytes[SegmentHeader.byteCount...]
            let raw = try ZstdFrame.decompress(frame, rawLength: SegmentCodec.inspect(segment.bytes).rawLength, at: 0)
            return sum + SegmentHeader.byteCount + (try ZstdFrame.compress(raw, level: 19, mayUseDictionary: false).count)
        }
        table.add(
            "2 segments of 1 to 8 edits / without the dictionary", ours: Double(small.reduce(0) { $0 + $1.bytes.count }), plain: Double(plain),
            unit: "bytes", goal: 0.9)
    }

    /// The load with each column in an order of its own: no field follows from another, and the predictors may cost nothing.
    private func unpredicted(_ table: inout Table) throws {
        let scope = ScopeID(2)
        let (node, replica) = try joined(bare, scope: scope)
        let handle = stranger(node, synchronous: "OFF")
        defer { sqlite3_close(handle) }
        var random = SplitMix(state: 7)
        let columns = Workload.columns.indices.map { column in rows.map { $0[column] }.shuffled(using: &random) }
        insert(handle, PlainRows(rows.indices.map { row in columns.map { $0[row] } }))
        try seal(node, replica, scope)
        let sealed = try segments(node).map(\.bytes)
        let keys = SiteKeys()
        let without = try sealed.reduce(0) { sum, bytes in
            let (header, body) = try SegmentCodec.decodeOwn(bytes, predictors: bare.predictors)
            return sum + (try SegmentCodec.seal(
                body: body, kind: header.kind, scope: header.scope, site: header.site, firstSeq: header.firstSeq, lastSeq: header.lastSeq,
                cursor: header.cursor, epoch: header.epoch, previousHash: header.previousHash, catalogueHash: header.catalogueHash,
                level: Sealer.level, signingKey: keys.signing).bytes.count)
        }
        table.add(
            "2 columns that follow no prediction / without predictors", ours: Double(sealed.reduce(0) { $0 + $1.count }), plain: Double(without),
            unit: "bytes", goal: 1.01)
    }

    // MARK: 4. pull

    func pull(_ table: inout Table) async throws {
        let source = try school(0, bare, rows: plainRows)
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
            plain.append(milliseconds { insert(handle, plainRows) })
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

    func pages(_ database: DatabasePool, _ tables: (String) -> Bool) throws -> Int {
        try database.read { db in
            try Row.fetchAll(db, sql: "SELECT name, sum(pgsize) AS size FROM dbstat GROUP BY name").reduce(0) {
                tables($1["name"]) ? $0 + ($1["size"] as Int) : $0
            }
        }
    }

    func storage(_ table: inout Table) async throws {
        let (typed, typedPath) = try plainDatabase()
        insert(typed, plainRows)
        let floor = try fileSize(typed, typedPath)
        let (keyed, keyedPath) = try textKeyDatabase()
        insert(keyed, plainRows, firstID: nil)
        let textKey = try fileSize(keyed, keyedPath)
        let source = try school(0, bare, rows: plainRows)
        let (home, worker) = try hub(bare, [source])
        try deliver(source, to: home)
        try await worker.drain()
        try await source.node.database.write { try Pending.settle($0, scope: source.scope, merged: MergedSeqs(upTo: Seq(Int64.max)), reachesEnd: true) }
        let empty = try node(bare)
        let schema = try pages(empty.database) { _ in true }
        let settled = Double(try pages(source.node.database) { !$0.hasPrefix("zz_outbox") } - schema)
        table.add("5 node after settling", ours: settled, plain: floor, unit: "bytes", goal: 1.05)
        table.add("5 node against the text-key table", ours: settled, plain: textKey, unit: "bytes", goal: 1.05)
        let kept: (String) -> Bool = { $0.hasPrefix("zz_history") || $0.hasPrefix("zz_extent") }
        let hubSchema = try pages(hub(bare, []).0.database) { _ in true }
        let merged = Double(try pages(home.database) { !kept($0) } - hubSchema)
        table.add("5 hub after merging", ours: merged, plain: floor, unit: "bytes", goal: 1.15)
        table.add("5 hub against the text-key table", ours: merged, plain: textKey, unit: "bytes", goal: 1.15)
        table.add("5 apart: kept segments (outbox; the inbox is as large)", ours: Double(try pages(source.node.database) { $0.hasPrefix("zz_outbox") }), plain: floor, unit: "bytes", goal: 0.15)
        table.add("5 apart: history and log of the hub", ours: Double(try pages(home.database, kept)), plain: floor, unit: "bytes", goal: 0.15)
    }
}
