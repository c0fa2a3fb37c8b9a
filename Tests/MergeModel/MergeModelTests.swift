// The merge against its model: the production core replays the model's histories and must stand as the model stands after
// every step; with any rule left out it must not (VariantTests).

import Foundation
import Testing

@testable import Shared

/// Tests/models/whole_run.py, run by Debian's own interpreter.
enum MergeModel {
    struct Trouble: Error, CustomStringConvertible {
        let description: String
    }

    static func run(_ words: [String], script: String = "whole_run.py") throws -> [UInt8] {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/python3")
        let models = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(path: "models")
        process.arguments = ["-B", models.appending(path: script).path] + words
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        let text = words.joined(separator: " ")
        guard process.terminationStatus == 0 else {
            throw Trouble(description: "\(script) \(text): \(String(decoding: output, as: UTF8.self))")
        }
        return Array(output)
    }

    static func histories(tiers: Int, seeds: Range<Int>) throws -> [UInt8] {
        try run(["print", "\(seeds.count)", "\(tiers)", "\(seeds.lowerBound)"])
    }

    struct Outcome: Sendable {
        var histories = 0
        var steps = 0
        /// The first difference.
        var difference: String?
    }

    /// Replays up to the first difference.
    static func replay(_ printed: [UInt8], mutants: MergeMutant = []) -> Outcome {
        var reader = HistoryReader(printed)
        var outcome = Outcome()
        var history: ModelHistory?
        while let letter = reader.next() {
            if letter == UInt8(ascii: "S") || letter == UInt8(ascii: "T") {
                history = ModelHistory(seed: reader.words[0], epoch: letter == UInt8(ascii: "T") ? 1 : 0, mutants: mutants)
            } else if let difference = history?.take(letter, reader.words) {
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
    /// Histories of each number of tiers; the long run has 10,000 together.
    static var seeds: Int { isLong ? 5_000 : 150 }
    static let batch = 250

    /// The first histories of three and of four tiers, printed once for all tests.
    static let first: [Int: Result<[UInt8], any Error>] = [
        3: Result { try histories(tiers: 3, seeds: 0..<150) }, 4: Result { try histories(tiers: 4, seeds: 0..<150) },
    ]
}

@Suite(.serialized) struct MergeModelTests {
    /// What the Swift code is compared with loses nothing itself.
    @Test(arguments: [3, 4]) func modelLosesNothing(tiers: Int) async throws {
        let output = try await MergeModel.aside { try MergeModel.run(["check", "\(MergeModel.seeds)", "\(tiers)"]) }
        let said = String(decoding: output, as: UTF8.self)
        #expect(said.contains("lost=0 (0 seeds) diverged=0 (0) partial=0"), "\(said)")
    }

    @Test(arguments: [3, 4]) func agreesAfterEveryStep(tiers: Int) async throws {
        var histories = 0
        var steps = 0
        for start in stride(from: 0, to: MergeModel.seeds, by: MergeModel.batch) {
            let seeds = start..<min(start + MergeModel.batch, MergeModel.seeds)
            let outcome = try await MergeModel.aside {
                let isFirst = seeds == 0..<150
                return MergeModel.replay(
                    try isFirst ? MergeModel.first[tiers]!.get() : MergeModel.histories(tiers: tiers, seeds: seeds))
            }
            if let difference = outcome.difference {
                Issue.record("\(difference)")
                return
            }
            histories += outcome.histories
            steps += outcome.steps
        }
        #expect(histories == MergeModel.seeds)
        print("merge model, \(tiers) tiers: \(histories) histories, \(steps) steps agree")
    }
}
