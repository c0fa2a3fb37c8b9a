// The merge against its model: the production core replays the model's histories and must stand as the model stands after
// every step; with any rule left out it must not (VariantTests).

import Foundation
import Testing

@testable import Shared

/// One of the runners of Tests/models, run by Debian's own interpreter, and its histories.
struct MergeModel: Sendable {
    let name: String
    let script: String
    /// Histories of each number of tiers.
    let seeds: Int
    /// Histories that are printed at a time: those of the short run.
    let batch: Int

    init(_ name: String, _ script: String, short: Int, long: Int) {
        (self.name, self.script, self.seeds, self.batch) = (name, script, Self.isLong ? long : short, short)
    }

    /// By number of tiers, as printed.
    typealias Histories = [Int: Result<[UInt8], any Error>]

    /// Those of the short run, which VariantTests plays too.
    func first() -> Histories {
        [3: Result { try Self.histories(script, 3, 0..<batch) }, 4: Result { try Self.histories(script, 4, 0..<batch) }]
    }

    /// What the Swift code is compared with loses nothing itself.
    func expectNothingLost(tiers: Int) async throws {
        let output = try await Self.aside { try Self.run(["check", "\(seeds)", "\(tiers)"], script: script) }
        let said = String(decoding: output, as: UTF8.self)
        #expect(said.contains("lost=0 (0 seeds) diverged=0 (0) partial=0"), "\(said)")
    }

    /// The production core replays all histories, and stands as the model after every step.
    func expectAgreement(tiers: Int, first: @escaping @Sendable @autoclosure () -> Histories) async throws {
        var histories = 0
        var steps = 0
        for start in stride(from: 0, to: seeds, by: batch) {
            let outcome = try await Self.aside {
                let end = min(start + batch, seeds)
                return try Self.replay(start == 0 ? first()[tiers]!.get() : Self.histories(script, tiers, start..<end))
            }
            if let difference = outcome.difference {
                Issue.record("\(difference)")
                return
            }
            histories += outcome.histories
            steps += outcome.steps
        }
        #expect(histories == seeds)
        print("\(name), \(tiers) tiers: \(histories) histories, \(steps) steps agree")
    }

    static func histories(_ script: String, _ tiers: Int, _ seeds: Range<Int>, _ words: String...) throws -> [UInt8] {
        try run(["print", "\(seeds.count)", "\(tiers)", "\(seeds.lowerBound)"] + words, script: script)
    }

    struct Trouble: Error, CustomStringConvertible {
        let description: String
    }

    static func run(_ words: [String], script: String) throws -> [UInt8] {
        let models = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(path: "models")
        let ended = try Programs.wait(Programs.python, ["-B", models.appending(path: script).path] + words, secondsMax: 1_800)
        guard ended.code == 0 else { throw Trouble(description: "\(ended.command): \(ended.out)\(ended.err)") }
        return Array(ended.out.utf8)
    }

    struct Outcome: Sendable {
        var histories = 0
        var steps = 0
        /// The first difference.
        var difference: String?
    }

    /// Replays up to the first difference.
    static func replay(_ printed: [UInt8], mutants: MergeMutant = []) throws -> Outcome {
        var reader = HistoryReader(printed)
        var outcome = Outcome()
        var history: ModelHistory?
        while let letter = reader.next() {
            if letter == UInt8(ascii: "S") || letter == UInt8(ascii: "T") {
                history = ModelHistory(seed: reader.words[0], epoch: letter == UInt8(ascii: "T") ? 1 : 0, mutants: mutants)
            } else if let difference = try history?.take(letter, reader.words) {
                outcome.difference = difference
                return outcome
            }
            if letter == UInt8(ascii: "F") {
                outcome.histories += 1
                outcome.steps += history?.steps ?? 0
            }
        }
        return outcome
    }

    /// Minutes of computing do not belong on the test pool's few threads: other tests watch their clocks there.
    private static let queue = DispatchQueue(label: "merge model", attributes: .concurrent)

    static func aside<T: Sendable>(_ work: @escaping @Sendable () throws -> T) async throws -> T {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result { try work() }) }
        }
    }

    static var isLong: Bool { ProcessInfo.processInfo.environment["ZZSYNC_COUNTS"] == "long" }
}

@Suite(.serialized) struct MergeModelTests {
    static let model = MergeModel("merge model", "whole_run.py", short: 150, long: 5_000)
    static let first = model.first()

    @Test(arguments: [3, 4]) func modelLosesNothing(tiers: Int) async throws {
        try await Self.model.expectNothingLost(tiers: tiers)
    }

    @Test(arguments: [3, 4]) func agreesAfterEveryStep(tiers: Int) async throws {
        try await Self.model.expectAgreement(tiers: tiers, first: Self.first)
    }
}
