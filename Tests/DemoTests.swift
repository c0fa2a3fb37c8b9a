import Testing

@Suite("The demo")
struct DemoTests {
    /// The week that `make demo` plays, with a small school.
    @Test(.timeLimit(.minutes(10)))
    func everyNumberIsWhatItMustBe() async throws {
        let ended = try await Child(
            Programs.python,
            [
                TestFiles.folder + "/demo/demo.py", "--binary", Programs.zzsync, "--students", "60", "--teachers", "10",
                "--classes", "6", "--majors", "4",
            ], secondsMax: 240
        ).ended()
        #expect(ended.code == 0, "\(ended.err)\(ended.out.suffix(4_000))")
        #expect(ended.out.contains("Every number is what it must be"))
    }
}
