// simulate: the whole system in one process, under faults.

import ArgumentParser
import Foundation
import Shared

struct Simulate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Play a country with the real node and hub code, under faults, and check that nothing is lost.",
        discussion: """
            Every seed is a country of its own: a ministry, a province, sometimes a city's hub, schools with several nodes, clerks
            and operators; lines that lose, double, delay, reorder and cut, processes that end at any step, full disks, wrong
            clocks. At the end everything written must be found again and all replicas must agree. The same seed plays the same.

            With --schools it plays an ordinary month of a province instead, for a planner: bytes, lag, cases, load of the hubs.

            Exit code 1: something was lost, replicas differ, or a kind of fault never happened in 40 seeds or more; the command
            line that replays a failed seed is printed.
            """)
    @Option(help: "Play this seed alone.") var seed: UInt64?
    @Option(help: "Play so many seeds.") var seeds: Int = 40
    @Option(help: "The first of them.") var first: UInt64 = 1
    @Option(help: "Play an ordinary month with so many schools.") var schools: Int?
    @Option(help: "Days of it.") var days: Int = 30
    @Option(help: "Students that each school enters on the first day.") var students: Int = 100
    @Option(help: "Writes of a school on a school day.") var writesPerDay: Int = 30
    @Option(help: "Syncs of a node on a school day.") var syncsPerDay: Int = 3
    @Flag(help: "Tell what happens, line by line, on standard error.") var trace = false
    @Flag(help: "One JSON document on standard output, nothing else.") var json = false

    func validate() throws {
        guard schools ?? 1 >= 1, schools ?? 1 <= 5_000, 1...366 ~= days, 0...5_000 ~= students, 1...1_000 ~= writesPerDay,
            1...24 ~= syncsPerDay, 1...1_000_000 ~= seeds
        else {
            throw ValidationError(
                "--schools goes from 1 to 5000, --days to 366, --students to 5000, --writes-per-day to 1000, --syncs-per-day to 24, --seeds from 1 to 1000000.")
        }
    }

    func run() async throws {
        if let schools { return try await plan(schools) }
        let catalogue = try Simulation.bedCatalogue(CatalogueLoader.embedded())
        let wanted = seed.map { [$0] } ?? (0..<UInt64(max(seeds, 1))).map { first + $0 }
        var summary = SimulationSummary()
        let tell: (@Sendable (String) -> Void)? = trace ? { @Sendable line in Terminal.error(line) } : nil
        for seed in wanted {
            let outcome = try await Simulation.play(Plan.bed(seed: seed), catalogue: catalogue, tell: tell)
            summary.add(outcome)
            if outcome.isFailure { report(outcome) }
            if outcome.isThin { Terminal.error("simulate: seed \(seed) shows too little: \(outcome.size)") }
            Progress.show("simulate: \(summary.seeds) of \(wanted.count) seeds, \(summary.failed.count) failed")
        }
        Progress.end()
        if json { Terminal.json(summary.json) } else { summary.lines.forEach(Terminal.line) }
        // In so many seeds everything must have gone wrong once, or the run has shown less than it says.
        let missing = summary.seeds < Self.seedsForEverything ? [] : summary.faults.missing + summary.tallies.missing
        if !missing.isEmpty { Terminal.error("simulate: never happened: \(missing.joined(separator: ", "))") }
        guard summary.failed.isEmpty, missing.isEmpty, summary.thin == 0 else { throw ExitCode(1) }
    }

    private func plan(_ schools: Int) async throws {
        Self.allowManyFiles()
        let question = PlannerQuestion(
            schools: schools, days: days, students: students, writesPerDay: writesPerDay, syncsPerDay: syncsPerDay, seed: seed ?? 1)
        let days = days
        let report = try await Planner.play(question, catalogue: try Planner.catalogue(CatalogueLoader.embedded())) { day in
            Progress.show("simulate: day \(day) of \(days)")
        }
        Progress.end()
        if json { Terminal.json(report) } else { report.lines.forEach(Terminal.line) }
    }

    /// Every node has its databases open.
    private static func allowManyFiles() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    private static let seedsForEverything = 40

    private func report(_ outcome: Outcome) {
        Progress.end()
        Terminal.error("simulate: seed \(outcome.plan.seed) FAILED; replay it with `\(outcome.replay)`")
        for failure in outcome.failures.prefix(12) { Terminal.error("  \(failure)") }
    }
}

/// One line on a terminal's standard error that is written over; silent elsewhere.
enum Progress {
    private static let isTerminal = isatty(STDERR_FILENO) == 1
    private static func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }

    static func show(_ text: String) {
        guard isTerminal else { return }
        write("\r\u{1B}[K\(text)")
    }
    static func end() {
        guard isTerminal else { return }
        write("\r\u{1B}[K")
    }
}

/// Many seeds together.
struct SimulationSummary {
    private(set) var seeds = 0
    private(set) var failed: [UInt64] = []
    private(set) var thin = 0
    private(set) var faults = FaultCounts()
    private(set) var tallies = Tallies()
    private(set) var seconds = 0.0
    private(set) var slowest = 0.0
    private(set) var days = 0.0
    private(set) var fewest = (tiers: Int.max, schools: Int.max, nodes: Int.max, writes: Int.max)
    /// The only seed's, when there was one.
    private(set) var trace: String?

    mutating func add(_ outcome: Outcome) {
        seeds += 1
        if outcome.isFailure { failed.append(outcome.plan.seed) }
        if outcome.isThin { thin += 1 }
        faults += outcome.faults
        tallies += outcome.tallies
        seconds += outcome.seconds
        slowest = max(slowest, outcome.seconds)
        days += outcome.virtualDays
        fewest = (
            min(fewest.tiers, outcome.tiers), min(fewest.schools, outcome.plan.schools), min(fewest.nodes, outcome.plan.nodes),
            min(fewest.writes, outcome.tallies.writes))
        trace = seeds == 1 ? outcome.trace : nil
    }

    var falsePerThousand: Double { tallies.writes == 0 ? 0 : Double(tallies.falseCases) * 1000 / Double(tallies.writes) }

    var lines: [String] {
        var lines = ["\(seeds) seeds, \(failed.count) failed, \(Int(days)) days of \(Int(seconds)) s, the slowest \(Self.two(slowest)) s"]
        lines.append(
            "\(tallies.writes) writes (\(tallies.imports) imports, \(tallies.deletes) deletes), \(tallies.syncs) syncs of which \(tallies.brokenSyncs) broke")
        let kinds = tallies.cases.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
        lines.append(
            "\(tallies.allCases) cases (\(kinds)), \(tallies.falseCases) false: \(Self.two(falsePerThousand)) per 1,000 writes; "
                + "\(tallies.decisions) decisions, \(tallies.undone) taken back")
        for fault in Fault.allCases { lines.append(Self.column(fault.rawValue, faults[fault])) }
        for (point, count) in faults.crashes.sorted(by: { $0.key < $1.key }) { lines.append(Self.column("  at \(point)", count)) }
        for deed in Deed.allCases { lines.append(Self.column(deed.rawValue, tallies.deeds[deed] ?? 0)) }
        if let trace { lines.append("trace \(trace)") }
        return lines
    }

    private static func column(_ name: String, _ count: Int) -> String {
        "  " + name + String(repeating: " ", count: max(1, 40 - name.count)) + "\(count)"
    }
    private static func two(_ number: Double) -> String { String(Double(Int(number * 100 + 0.5)) / 100) }

    var json: JSONValue {
        func counts(_ all: [String: Int]) -> JSONValue { .object(all.mapValues { .number(Int64($0)) }) }
        return .object([
            "seeds": .number(Int64(seeds)), "failed": .array(failed.map { .string("\($0)") }), "seconds": .real(seconds),
            "writes": .number(Int64(tallies.writes)), "fewest_tiers": .number(Int64(fewest.tiers)), "fewest_schools": .number(Int64(fewest.schools)),
            "fewest_nodes": .number(Int64(fewest.nodes)), "fewest_writes": .number(Int64(fewest.writes)), "cases": counts(tallies.cases), "false_cases": .number(Int64(tallies.falseCases)),
            "false_per_1000_writes": .real(falsePerThousand), "decisions": .number(Int64(tallies.decisions)),
            "faults": counts(Dictionary(uniqueKeysWithValues: Fault.allCases.map { ($0.rawValue, faults[$0]) })),
            "deeds": counts(Dictionary(uniqueKeysWithValues: Deed.allCases.map { ($0.rawValue, tallies.deeds[$0] ?? 0) })),
            "crashes": counts(faults.crashes), "never_happened": .array((faults.missing + tallies.missing).map { .string($0) }),
            "trace": trace.map { .string($0) } ?? .null,
        ])
    }
}
