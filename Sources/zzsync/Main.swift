// The command line: parses, runs one verb, turns every failure into a sentence and an exit code that scripts rely on.

import ArgumentParser
import CMalloc
import Foundation
import GRDB
import Shared

@main struct Main {
    static func main() async {
        // A heap per thread keeps what each thread once needed: a hub under twenty uploads held 192 MB, with two heaps 121 MB.
        _ = mallopt(M_ARENA_MAX, 2)
        // What is as large as a segment goes back to the system when it is freed; left to itself glibc keeps such pieces and their gaps:
        // a hub that took 100,000 rows held 127 MB, with this 98 MB, a node that sent them 62 and 58.
        _ = mallopt(M_MMAP_THRESHOLD, 1 << 20)
        await runZzsync()
    }
}

private let version = "0.1.0"

private func runZzsync() async {
    // Not a flag of the parser's, which would answer for every verb whose own --version stands beside a mistake.
    if CommandLine.arguments.dropFirst() == ["--version"] { return Terminal.line(version) }
    do {
        var command = try Zzsync.parseAsRoot()
        if var asynchronous = command as? any AsyncParsableCommand {
            try await asynchronous.run()
        } else {
            try command.run()
        }
        try Terminal.checkOutput()
    } catch let failure as Failure {
        Terminal.error(failure.description)
        exit(failure.kind.rawValue)
    } catch {
        if let code = error as? ExitCode { exit(code.rawValue) }
        let code = Zzsync.exitCode(for: error)
        if code == .success {
            Terminal.line(Zzsync.fullMessage(for: error))
            exit(0)
        }
        if code == .validationFailure {
            Terminal.error(Zzsync.fullMessage(for: error))
            exit(Failure.Kind.usage.rawValue)
        }
        if error is DatabaseError {
            let failure = storeFailure(error, path: "the home's database")
            Terminal.error(failure.description)
            exit(failure.kind.rawValue)
        }
        Terminal.error("\(error) Report this as a bug, with the command that you gave.")
        exit(Failure.Kind.damaged.rawValue)
    }
}

struct Zzsync: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "zzsync",
        abstract: "Offline-first sync of school forms: a node in each school, hubs above.",
        discussion: """
            Exit codes: 0 done, 1 a rehearsal or simulation went otherwise than it must, 2 usage, 3 refused by a rule (nothing \
            written), 4 no connection (nothing lost, will retry), 5 refused by the other side, 6 local data damaged, 7 busy, try later.
            """,
        subcommands: [
            Init.self, Join.self, Forms.self, Put.self, Get.self, List.self, Delete.self, Template.self, Import.self,
            Review.self, Check.self, Sync.self, Status.self, Trace.self, Decisions.self, Confirm.self, Digest.self, ReceiptCommand.self, Doctor.self, Serve.self, HubCommand.self,
            Simulate.self,
        ])
}
