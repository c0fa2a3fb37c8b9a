// `make bench`: how near zzsync comes to plain SQLite doing the same writes with no sync at all, and to a strong compressor on
// the same columns. Every figure is a ratio of two medians taken in turn in one run; the plain side is written as well as it
// can be: raw C API, prepared statement, one transaction.

import Foundation
import GRDB
import Hub
import Node
import Shared

struct Figure: Codable {
    var name: String
    var ours: Double
    var plain: Double
    var unit: String
    var ratio: Double
    var goal: Double
    var met: Bool
}

/// Collects the figures and prints each as it comes.
struct Table {
    static let nameWidth = 58
    private(set) var figures: [Figure] = []

    /// - Parameter atLeast: a rate that must reach the goal, instead of a ratio that must stay below it.
    mutating func add(_ name: String, ours: Double, plain: Double, unit: String, goal: Double, atLeast: Bool = false) {
        let ratio = plain == 0 ? ours : ours / plain
        let met = atLeast ? ratio >= goal : ratio <= goal
        figures.append(Figure(name: name, ours: ours, plain: plain, unit: unit, ratio: ratio, goal: goal, met: met))
        let columns = [name.padding(toLength: Self.nameWidth, withPad: " ", startingAt: 0), number(ours), number(plain), unit.padding(toLength: 9, withPad: " ", startingAt: 0)]
        print(columns.joined(separator: " "), number(ratio), atLeast ? "≥" : "≤", number(goal), met ? "met" : "NOT MET")
        fflush(nil)     // a long run is watched through a file
    }

    private func number(_ value: Double) -> String {
        let text = value >= 1_000 ? String(Int(value.rounded())) : String((value * 1_000).rounded() / 1_000)
        return String(repeating: " ", count: max(0, 11 - text.count)) + text
    }

    func write(to path: String) throws {
        try Data(WireJSON.encode(figures, pretty: true)).write(to: URL(fileURLWithPath: path))
    }
}

/// Times two ways of doing the same thing in turn, so that a machine that slows down slows both.
func medians(_ runs: Int = 5, ours: () throws -> Double, plain: () throws -> Double) rethrows -> (ours: Double, plain: Double) {
    var a: [Double] = [], b: [Double] = []
    for _ in 0..<runs {
        b.append(try plain())
        a.append(try ours())
    }
    return (a.sorted()[runs / 2], b.sorted()[runs / 2])
}

func milliseconds(_ body: () throws -> Void) rethrows -> Double {
    let start = ContinuousClock.now
    try body()
    let elapsed = ContinuousClock.now - start
    return Double(elapsed.components.seconds) * 1e3 + Double(elapsed.components.attoseconds) / 1e15
}

func milliseconds(_ body: () async throws -> Void) async rethrows -> Double {
    let start = ContinuousClock.now
    try await body()
    let elapsed = ContinuousClock.now - start
    return Double(elapsed.components.seconds) * 1e3 + Double(elapsed.components.attoseconds) / 1e15
}

@main struct Main {
    /// `zzsync-bench [FILE [PART ...]]`: all parts, or the named ones.
    static func main() async throws {
        let folder = NSTemporaryDirectory() + "zzsync-bench-\(ProcessInfo.processInfo.processIdentifier)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let words = Array(CommandLine.arguments.dropFirst())
        let path = words.first ?? ".build/bench.json"
        var table = Table()
        print("figure".padding(toLength: Table.nameWidth, withPad: " ", startingAt: 0), "       ours       plain unit           ratio   goal")
        let bench = try Measures(folder: folder)
        let parts: [(String, (inout Table) async throws -> Void)] = [
            ("capture", bench.capture), ("wire", bench.wire), ("merge", bench.merge), ("edits", bench.singleEdits), ("pull", bench.pull), ("storage", bench.storage),
            ("processes", bench.processes), ("linear", bench.linear), ("province", bench.province),
        ]
        for (name, part) in parts where words.count < 2 || words.dropFirst().contains(name) { try await part(&table) }
        try table.write(to: path)
        print("written to \(path)")
    }
}
