import Foundation
import Testing

@Suite("The demo")
struct DemoTests {
    /// The week that `make demo` plays, with a small school.
    @Test(.timeLimit(.minutes(5)))
    func everyNumberIsWhatItMustBe() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "zzsync-demo-test-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let demo = try ChildProcess(
            [
                KillPaths.python, KillPaths.tests + "/demo/demo.py", "--binary", KillPaths.binary, "--students", "60",
                "--teachers", "10", "--classes", "6", "--majors", "4",
            ], files: folder + "/demo")
        let ending = await demo.ending()
        #expect(ending.status == 0, "\(ending.err)\(ending.out.suffix(4_000))")
        #expect(ending.out.contains("Every number is what it must be"))
    }
}
