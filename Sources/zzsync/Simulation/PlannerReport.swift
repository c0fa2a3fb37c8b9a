// What a planner reads, and how it is counted.

import Foundation
import GRDB
import Hub
import Shared

/// What the lines and the hubs had to carry.
struct Load: Sendable {
    /// Hub → seconds of processor time: answering, merging and, as a child, sealing and applying.
    var hubSeconds: [String: Double] = [:]
    /// Hub → of these, merging.
    var mergeSeconds: [String: Double] = [:]
    /// (School, day) → bytes of its nodes' syncs.
    var bytesUp: [SchoolDay: Int] = [:]
    var bytesDown: [SchoolDay: Int] = [:]
    /// Site → when each write was made that has not left it; hub → when each was made that lies in its inbox.
    var waiting: [Int: [Int]] = [:]
    var arrived: [Int: [Int]] = [:]
    /// Hub → milliseconds from a write to its merge there.
    var lags: [String: [Int]] = [:]
    var casesAtDayEnd: [Int] = []
}

struct SchoolDay: Hashable, Sendable {
    let school: Int
    let day: Int
}

extension Country {
    /// A sync has sent what waited.
    func countSync(of site: Site, _ report: SyncReport, began: Int) {
        if let school = site.school {
            let day = SchoolDay(school: school, day: scheduler.now / 86_400_000)
            load.bytesUp[day, default: 0] += report.sentBytes
            load.bytesDown[day, default: 0] += report.receivedBytes
        }
        let hub = site.parent!
        // What was written while the sync was under way may have been sealed already; it counts with the next one.
        let sent = load.waiting[site.number, default: []].filter { $0 < began }
        load.waiting[site.number] = load.waiting[site.number, default: []].filter { $0 >= began }
        load.arrived[hub.number, default: []] += sent
    }

    /// A hub has merged all that had arrived.
    func countMerge(at hub: Site) {
        let merged = load.arrived.removeValue(forKey: hub.number) ?? []
        load.lags[hub.name, default: []] += merged.map { scheduler.now - $0 }
        if hub.parent != nil { load.waiting[hub.number, default: []] += merged }
    }

    func report(_ question: PlannerQuestion, seconds: Double) throws -> PlannerReport {
        func later(_ bytes: [SchoolDay: Int]) -> [Int] { bytes.filter { $0.key.day > 0 }.map(\.value) }
        func first(_ bytes: [SchoolDay: Int]) -> [Int] { bytes.filter { $0.key.day == 0 }.map(\.value) }
        func megabytes(_ site: Site) -> Double {
            let file = site.fuse.directory + (site.isHub ? "/hub.db" : "/node.db")
            return ["", "-wal"].reduce(0.0) { sum, end in
                sum + Double((try? FileManager.default.attributesOfItem(atPath: file + end)[.size] as? Int) ?? 0) / 1e6
            }
        }
        return PlannerReport(
            schools: plan.schools, nodes: nodes.count, days: question.days, schoolDays: Self.schoolDays(question.days),
            students: question.students, writesPerDay: question.writesPerDay, syncsPerDay: question.syncsPerDay, writes: tallies.writes,
            syncs: tallies.syncs, brokenSyncs: tallies.brokenSyncs, seconds: seconds,
            firstDayUp: Spread(first(load.bytesUp)), firstDayDown: Spread(first(load.bytesDown)), dayUp: Spread(later(load.bytesUp)),
            dayDown: Spread(later(load.bytesDown)),
            lagMinutes: load.lags.mapValues { Spread($0.map { $0 / 60_000 }) }, cases: tallies.cases,
            openCasesMax: load.casesAtDayEnd.max() ?? 0, decisions: tallies.decisions,
            hubs: try hubs.map { hub in
                let rows = try hub.database.read { try Int.fetchOne($0, sql: "SELECT coalesce(sum(merged), 0) FROM zz_child")! }
                return PlannerReport.HubLoad(
                    name: hub.name, processorSecondsPerDay: load.hubSeconds[hub.name, default: 0] / Double(max(question.days, 1)),
                    rowsMerged: rows, rowsPerSecond: Double(rows) / max(load.mergeSeconds[hub.name, default: 0], 0.001),
                    megabytes: megabytes(hub))
            },
            nodeMegabytes: megabytes(nodes[0]))
    }
}

/// Median, 95th of a hundred, and the largest.
struct Spread: Codable, Sendable {
    var median = 0
    var high = 0
    var largest = 0
    init(_ values: [Int]) {
        guard !values.isEmpty else { return }
        let sorted = values.sorted()
        (median, high, largest) = (sorted[sorted.count / 2], sorted[sorted.count * 95 / 100], sorted.last!)
    }
    enum CodingKeys: String, CodingKey { case median, high = "p95", largest = "max" }
}

struct PlannerReport: Codable, Sendable {
    struct HubLoad: Codable, Sendable {
        var name: String
        var processorSecondsPerDay: Double
        var rowsMerged: Int
        var rowsPerSecond: Double
        var megabytes: Double
        enum CodingKeys: String, CodingKey {
            case name, processorSecondsPerDay = "cpu_seconds_per_day", rowsMerged = "rows_merged", rowsPerSecond = "rows_per_second"
            case megabytes = "database_mb"
        }
    }

    var schools: Int, nodes: Int, days: Int, schoolDays: Int, students: Int, writesPerDay: Int, syncsPerDay: Int
    var writes: Int, syncs: Int, brokenSyncs: Int
    var seconds: Double
    var firstDayUp: Spread, firstDayDown: Spread, dayUp: Spread, dayDown: Spread
    /// Hub → minutes from a write to its merge there.
    var lagMinutes: [String: Spread]
    var cases: [String: Int]
    var openCasesMax: Int, decisions: Int
    var hubs: [HubLoad]
    var nodeMegabytes: Double

    enum CodingKeys: String, CodingKey {
        case schools, nodes, days, students, writes, syncs, seconds, cases, decisions, hubs, schoolDays = "school_days"
        case writesPerDay = "writes_per_school_day", syncsPerDay = "syncs_per_school_day", brokenSyncs = "broken_syncs"
        case firstDayUp = "first_day_bytes_up", firstDayDown = "first_day_bytes_down", dayUp = "day_bytes_up"
        case dayDown = "day_bytes_down", lagMinutes = "lag_minutes", openCasesMax = "open_cases_max", nodeMegabytes = "node_database_mb"
    }

    var lines: [String] {
        var lines = [
            "\(schools) schools with \(nodes) nodes, \(days) days of which \(schoolDays) school days; played in \(Int(seconds)) s.",
            "Each school enters \(students) students on the first day and makes \(writesPerDay) writes a school day; each node syncs \(syncsPerDay) times.",
            "\(writes) writes, \(syncs) syncs of which \(brokenSyncs) broke and were repeated later.", "",
            Self.row("", ["median", "95 of 100", "largest"]),
        ]
        func bytes(_ name: String, _ spread: Spread) { lines.append(Self.row(name, [spread.median, spread.high, spread.largest].map(Terminal.bytes))) }
        bytes("first day, up, a school", firstDayUp)
        bytes("first day, down, a school", firstDayDown)
        bytes("a school day, up, a school", dayUp)
        bytes("a school day, down, a school", dayDown)
        for (hub, lag) in lagMinutes.sorted(by: { $0.value.median < $1.value.median }) {
            lines.append(Self.row("from a write to its merge: \(hub)", [lag.median, lag.high, lag.largest].map(Self.duration)))
        }
        let all = cases.values.reduce(0, +)
        let kinds = cases.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
        let share = Double(all * 10_000 / max(writes, 1)) / 10
        lines += [
            "", "\(all) cases\(kinds.isEmpty ? "" : " (\(kinds))"), \(share) per 1,000 writes; at most \(openCasesMax) open at the end of a day; \(decisions) decisions.",
            "", Self.row("hub", ["CPU s a day", "rows merged", "rows/s", "database"]),
        ]
        for hub in hubs {
            lines.append(
                Self.row(
                    hub.name,
                    [Self.one(hub.processorSecondsPerDay), "\(hub.rowsMerged)", hub.rowsMerged == 0 ? "-" : "\(Int(hub.rowsPerSecond))", Self.one(hub.megabytes) + " MB"]))
        }
        lines.append("A node's database has \(Self.one(nodeMegabytes)) MB. Processor time is this machine's, with one core.")
        return lines
    }

    private static func one(_ number: Double) -> String { String(Double(Int(number * 10 + 0.5)) / 10) }
    private static func duration(_ minutes: Int) -> String { minutes < 120 ? "\(minutes) min" : "\(minutes / 60) h" }
    private static func row(_ name: String, _ cells: [String]) -> String {
        func left(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(1, width - text.count)) }
        func right(_ text: String) -> String { String(repeating: " ", count: max(1, 12 - text.count)) + text }
        return left(name, 40) + cells.map(right).joined()
    }
}
