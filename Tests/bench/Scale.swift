// How cost grows: one school from 1,000 to 1,000,000 rows, and a province of 600 schools in one hub process.

import Foundation
import GRDB
import GRDBSQLite
import Hub
import Node
import Shared

extension Measures {
    private struct Steps {
        var capture = 0.0, seal = 0.0, merge = 0.0, pull = 0.0
        static var names: [(String, KeyPath<Steps, Double>)] { [
            ("capture", \.capture), ("seal", \.seal), ("merge", \.merge), ("pull", \.pull),
        ] }
    }

    /// Microseconds a row at four sizes, each against 10,000 rows.
    func linear(_ table: inout Table) async throws {
        var steps: [Int: Steps] = [:]
        for size in [1_000, 10_000, 100_000, 1_000_000] { steps[size] = try await oneSchool(size) }
        for (name, step) in Steps.names {
            for size in [1_000, 100_000, 1_000_000] {
                table.add(
                    "6 \(name) of \(size.formatted(.number.grouping(.automatic).locale(Locale(identifier: "en")))) rows, a row, against 10,000",
                    ours: steps[size]![keyPath: step], plain: steps[10_000]![keyPath: step], unit: "µs", goal: 1.5)
            }
        }
    }

    private func oneSchool(_ size: Int) async throws -> Steps {
        let scope = ScopeID(1), portion = min(size, 5_000)
        let (node, replica) = try joined(bare, scope: scope)
        var steps = Steps()
        let handle = stranger(node, synchronous: "NORMAL")
        for start in stride(from: 0, to: size, by: portion) {
            let rows = PlainRows(Workload.school(start / portion, rows: portion))
            steps.capture += milliseconds { insert(handle, rows, firstID: 1 << 40 + Int64(start)) }
        }
        sqlite3_close(handle)
        steps.seal = try milliseconds { try seal(node, replica, scope) }
        let school = School(scope: scope, node: node, replica: replica)
        let (home, worker) = try hub(bare, [school])
        steps.merge = try await milliseconds {
            try deliver(school, to: home)
            try await worker.drain()
        }
        let (reader, readerReplica) = try joined(bare, scope: scope)
        let session = SyncSession(
            replica: readerReplica,
            client: HubClient(
                Served(service: HubService(home, worker: worker), scope: scope, keys: home.keys), keys: readerReplica.keys, hub: home.keys.publicKeys,
                label: "bench"),
            hub: home.keys.publicKeys)
        steps.pull = try await milliseconds { _ = try await session.run(push: false) }
        for directory in [node.directory, home.directory, reader.directory] { try FileManager.default.removeItem(atPath: directory) }
        let rows = Double(size) / 1e3
        return Steps(capture: steps.capture / rows, seal: steps.seal / rows, merge: steps.merge / rows, pull: steps.pull / rows)
    }

    /// A line that asks the hub's service itself for pages, so that a pull costs what both sides do.
    private struct Served: Transport {
        let service: HubService
        let scope: ScopeID
        let keys: SiteKeys

        func send(_ request: WireRequest) async throws(Failure) -> WireReply {
            var body: [UInt8] = []
            do {
                if request.target == WirePath.hello {
                    body = WireJSON.encode(
                        HelloReply(
                            scopes: [ScopeStanding(scope: scope.description, received: 0, chain: "", merged: 0, logEnd: Int64.max)], clock: 0, epoch: 1,
                            catalogue: ""))
                } else if let after = Int64(request.target.split(separator: "after=").last?.split(separator: "&").first ?? "") {
                    body = try await service.logPage(scope, after: Position(after), bytesMax: SyncSession.pageBytesMax) ?? []
                }
            } catch {
                throw storeFailure(error, path: "the hub of the benchmark")
            }
            return WireReply(
                status: body.isEmpty ? 204 : 200,
                headers: [
                    ReplySignature.headerName.lowercased(): ReplySignature.header(
                        status: body.isEmpty ? 204 : 200, target: request.target, body: body, keys: keys)
                ], body: body)
        }
    }

    // MARK: a province

    private struct Sent {
        let school: School
        /// The load, and a day's edits.
        let load: [(first: Seq, last: Seq, bytes: [UInt8])]
        let day: [(first: Seq, last: Seq, bytes: [UInt8])]
    }

    /// 600 schools × 1,000 students × 3 forms with keys and rules; then 1 % of the rows edited in every school.
    func province(_ table: inout Table) async throws {
        let count = Int(ProcessInfo.processInfo.environment["BENCH_SCHOOLS"] ?? "") ?? 600
        let students = 1_000, tenth = count / 10, forms = Workload.parts.count
        print("  (sealing the load and the edits of \(count) schools)")
        let catalogue = try catalogue("province", Workload.parts.map { ("bench.\($0.name)", Workload.form($0)) })
        let sent = try (0..<count).map { try provinceSchool($0, catalogue, students: students) }
        let (home, worker) = try hub(catalogue, sent.map(\.school))
        var rates: [Double] = []
        for start in stride(from: 0, to: tenth * 10, by: tenth) {
            let part = sent[start..<start + tenth]
            let time = try await milliseconds {
                for school in part { try store(school.load, of: school.school, in: home) }
                try await worker.drain()
            }
            rates.append(Double(tenth * students * forms) / time * 1e3)
            print("  schools \(start + 1) to \(start + tenth): \(Int(rates.last!)) rows/s")
            fflush(nil)
        }
        let rows = try await home.database.read { db in
            try Workload.parts.map { try Int.fetchOne(db, sql: "SELECT count(*) FROM bench_\($0.name)")! }.reduce(0, +)
        }
        guard rows == tenth * 10 * students * forms else { throw Failure(.damaged, "The province holds \(rows) rows.", next: "Report this as a bug.") }
        table.add("7 province: rows/s of the last tenth / the first", ours: rates.last!, plain: rates.first!, unit: "rows/s", goal: 0.8, atLeast: true)
        let day = try await milliseconds {
            for school in sent.prefix(tenth * 10) { try store(school.day, of: school.school, in: home) }
            try await worker.drain()
        }
        table.add("7 province: a day of 1 % edits from \(count) schools", ours: day / 1e3, plain: 0, unit: "s", goal: 60)
        let claims = Double(try pages(home.database) { $0.hasPrefix("zz_claim") })
        let all = Double(try pages(home.database) { $0.hasPrefix("bench_") })
        table.add("7 province: key claims beside the rows", ours: claims, plain: all, unit: "bytes", goal: 0.5)
    }

    private func store(_ segments: [(first: Seq, last: Seq, bytes: [UInt8])], of school: School, in hub: HubHome) throws {
        for segment in segments {
            try hub.inbox.store(
                segment.bytes, scope: school.scope, site: school.replica.keys.site, first: segment.first, last: segment.last,
                key: school.replica.keys.publicKeys.signing, now: 1_790_000_000)
        }
    }

    /// Only the segments are kept; the node's files go.
    private func provinceSchool(_ number: Int, _ catalogue: Catalogue, students: Int) throws -> Sent {
        let scope = ScopeID(UInt64(number + 1)), firstID = Int64(number + 1) << 40
        let (node, replica) = try joined(catalogue, scope: scope)
        let handle = stranger(node, synchronous: "OFF")
        let rows = Workload.school(number, rows: students)
        for part in Workload.parts {
            insert(handle, PlainRows(rows.map { row in part.columns.map { row[$0] } }), into: part, firstID: firstID)
        }
        try seal(node, replica, scope)
        let load = try segments(node)
        for part in Workload.parts {
            let column = Workload.columns[part.edited].id
            for row in stride(from: number % 100, to: students, by: 100) {
                sqlite3_exec(handle, "UPDATE bench_\(part.name) SET \(column) = substr(\(column), 1, 8) || '改' WHERE id = \(firstID + Int64(row))", nil, nil, nil)
            }
        }
        sqlite3_close(handle)
        try seal(node, replica, scope)
        let day = try segments(node).filter { $0.first > load.last!.last }
        guard !day.isEmpty else { throw Failure(.damaged, "School \(number) sealed no edits.", next: "Report this as a bug.") }
        try FileManager.default.removeItem(atPath: node.directory)
        return Sent(school: School(scope: scope, node: node, replica: replica), load: load, day: day)
    }
}
