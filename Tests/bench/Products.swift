// What only the whole program can show: a sync over a real connection that has nothing to do, and the memory of a hub that takes
// twenty schools at once and of a node that sends 100,000 rows. The processes are the release build of `zzsync` itself; their
// memory is the kernel's high-water mark of resident pages (VmHWM), read every few milliseconds while they run.

import Foundation
import GRDBSQLite
import Node
import Shared

/// A run of `zzsync`, with the most memory that it held.
final class Run {
    let process = Process()
    private let output = Pipe()

    init(_ words: [String], home: String, catalogue: String) throws {
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent().appendingPathComponent("zzsync")
        process.arguments = words + ["--home", home, "--catalogue", catalogue]
        process.standardOutput = output
        try process.run()
    }

    /// Megabytes (10^6 bytes); nil once the process has ended.
    var memory: Double? {
        guard let status = try? String(contentsOfFile: "/proc/\(process.processIdentifier)/status", encoding: .utf8),
            let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") }),
            let kilobytes = Double(line.split(separator: " ")[1].trimmingCharacters(in: .whitespaces))
        else { return nil }
        return kilobytes * 1_024 / 1e6
    }

    /// The first line that it prints.
    func line() -> String {
        var bytes: [UInt8] = []
        while let byte = try? output.fileHandleForReading.read(upToCount: 1)?.first, byte != 0x0A { bytes.append(byte) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Waits for the end, and gives what it printed and the most memory seen.
    func end() throws -> (output: [UInt8], memory: Double) {
        var most = 0.0
        while process.isRunning {
            most = max(most, memory ?? 0)
            usleep(2_000)
        }
        let printed = try output.fileHandleForReading.readToEnd() ?? Data()
        guard process.terminationStatus == 0 else {
            throw Failure(.damaged, "`zzsync \(process.arguments!.joined(separator: " "))` ended with \(process.terminationStatus).", next: "Read what it said.")
        }
        return (Array(printed), most)
    }
}

extension Measures {
    private func zzsync(_ home: String, _ words: String...) throws -> [UInt8] { try Run(words, home: home, catalogue: bareFolder).end().output }

    /// A hub that serves, and nodes that joined it: each of another school, empty.
    private func country(nodes count: Int) throws -> (hub: Run, nodes: [String]) {
        let home = place("hub")
        _ = try zzsync(home, "hub", "init", "--level", "province", "--code", "41", "--name", "基准")
        let hub = try Run(["hub", "serve", "--listen", "127.0.0.1:0"], home: home, catalogue: bareFolder)
        _ = hub.line()
        let nodes = try (0..<count).map { number in
            let node = place("node"), code = String(3_641_000_001 + number)
            _ = try zzsync(home, "hub", "invite", "--school", code, "--type", "vocational_continuing", "--name", "学校\(number)", "-o", node + ".invite")
            _ = try zzsync(node, "init", "--school", code, "--type", "vocational_continuing", "--name", "学校\(number)")
            _ = try zzsync(node, "join", "--invite", node + ".invite")
            return node
        }
        return (hub, nodes)
    }

    private func stop(_ hub: Run) {
        hub.process.terminate()
        hub.process.waitUntilExit()
    }

    private func load(_ node: String, portions: Int, rows: (Int) -> [[Value]]) {
        var handle: OpaquePointer?
        sqlite3_open(node + "/node.db", &handle)
        sqlite3_busy_timeout(handle, 10_000)
        for portion in 0..<portions { insert(handle!, PlainRows(rows(portion)), firstID: Int64(portion + 1) << 40) }
        sqlite3_close(handle)
    }

    func processes(_ table: inout Table) async throws {
        try await nothingToDo(&table)
        try hubMemory(&table)
        try nodeMemory(&table)
    }

    /// As `zzsync sync` in a new process, and as the daemon does it again and again.
    private func nothingToDo(_ table: inout Table) async throws {
        let (hub, nodes) = try country(nodes: 1)
        defer { stop(hub) }
        load(nodes[0], portions: 1) { _ in rows }
        _ = try zzsync(nodes[0], "sync", "--wait", "60")
        _ = try zzsync(nodes[0], "sync")
        var once: [SyncReport] = [], again: [SyncReport] = []
        let (node, _) = try NodeHome.open(nodes[0], catalogue: bare)
        for _ in 0..<9 {
            guard let report = WireJSON.decode(SyncReport.self, from: try zzsync(nodes[0], "sync", "--json")) else { throw CocoaError(.fileReadCorruptFile) }
            once.append(report)
            again.append(try await node.session().run())
        }
        func median(_ reports: [SyncReport]) -> Double { reports.map(\.seconds).sorted()[4] * 1e3 }
        table.add("4 nothing to do: round trips", ours: Double(once.map(\.requests).max()!), plain: 0, unit: "calls", goal: 1)
        table.add("4 nothing to do: HTTP both ways", ours: Double(once.map { $0.sentBytes + $0.receivedBytes }.max()!), plain: 0, unit: "bytes", goal: 1_024)
        table.add("4 nothing to do: a daemon's sync, with its connection", ours: median(again), plain: 0, unit: "ms", goal: 3)
        table.add("4 nothing to do: the first sync of a new process", ours: median(once), plain: 0, unit: "ms", goal: 3)
    }

    private func hubMemory(_ table: inout Table) throws {
        let memory = try [1_000, 5_000, 20_000].map { size in
            let (hub, nodes) = try country(nodes: 20)
            defer { stop(hub) }
            for (number, node) in nodes.enumerated() { load(node, portions: 1) { _ in Workload.school(number, rows: size) } }
            let syncs = try nodes.map { try Run(["sync", "--wait", "120"], home: $0, catalogue: bareFolder) }
            for sync in syncs { _ = try sync.end() }
            return hub.memory ?? 0
        }
        table.add("6 memory of a hub, 20 schools of 5,000 rows at once", ours: memory[1], plain: 0, unit: "MB", goal: 150)
        table.add("6 the same against schools of 1,000 rows", ours: memory[1], plain: memory[0], unit: "MB", goal: 1.5)
        table.add("6 20 schools of 20,000 rows against 5,000", ours: memory[2], plain: memory[1], unit: "MB", goal: 1.5)
    }

    private func nodeMemory(_ table: inout Table) throws {
        let memory = try [10_000, 100_000].map { size in
            let (hub, nodes) = try country(nodes: 1)
            defer { stop(hub) }
            load(nodes[0], portions: size / 5_000) { Workload.school($0, rows: 5_000) }
            return try Run(["sync", "--wait", "120"], home: nodes[0], catalogue: bareFolder).end().memory
        }
        table.add("6 memory of a node, sync of 100,000 changed rows", ours: memory[1], plain: 0, unit: "MB", goal: 60)
        table.add("6 the same against 10,000 changed rows", ours: memory[1], plain: memory[0], unit: "MB", goal: 1.5)
    }
}
