import Foundation
import Testing

/// The surface that scripts rely on: exit codes, --json, help, and sentences for what was typed wrongly.
@Suite("Command line", .timeLimit(.minutes(10)))
struct CommandLineTests {
    private func zzsync(_ words: String..., environment: [String: String] = [:]) async throws -> Ended {
        try await Programs.run(Programs.zzsync, words, environment: environment)
    }

    @Test func theHelpNamesEveryVerbAndTheExitCodes() async throws {
        let help = try await zzsync("--help").expect(0, "Exit codes: 0 done, 1 a rehearsal or simulation", "3 refused by a rule", "7 busy")
        #expect(help.err.isEmpty)
        for verb in ["init", "join", "forms", "put", "get", "list", "delete", "template", "import", "review", "check", "sync",
            "status", "trace", "digest", "doctor", "serve", "hub"] {
            #expect(help.out.contains("\n  \(verb) "), "the help does not list \(verb)")
            try await zzsync(verb, "--help").expect(0, "USAGE: zzsync \(verb == "put" ? "put FORM" : verb)")
        }
        try await zzsync("hub", "invite", "--help").expect(0, "--school", "--days", "--tls-cert")
        try await zzsync("--version").expect(0, ".")
    }

    @Test(arguments: [
        (["nosuch"], "nosuch"), (["put"], "Missing expected argument"), (["init", "--school", "3641990001"], "--type"),
        (["status", "--nosuch"], "--nosuch"), (["review", "accept", "one"], "one"), (["hub", "serve"], "--listen"),
        (["sync", "--wait", "long"], "long"),
    ])
    func aWrongCommandIsUsage(words: [String], said: String) async throws {
        let ended = try await Programs.run(Programs.zzsync, words)
        ended.expect(2, said, "Usage:")
        #expect(ended.out.isEmpty)
    }

    @Test func theHomeAndTheAuthorMayComeFromTheEnvironment() async throws {
        let world = try World()
        let node = try await world.node("a")
        try await zzsync("status").expect(2, "No home folder is named.", "--home DIR", "ZZSYNC_HOME")
        try await zzsync("status", environment: ["ZZSYNC_HOME": node.home]).expect(0, World.school)
        try await zzsync("status", "--home", world.path("nowhere")).expect(2, "no zzsync node at", "zzsync init")
        let names = ["ZZSYNC_HOME": node.home, "ZZSYNC_USER": "li.na"]
        try await Programs.run(Programs.zzsync, ["put"] + Replica.major("ZY01"), environment: names).expect(0)
        #expect(try await node.sql("SELECT author FROM zz_mark") == "li.na")
        try await Programs.run(Programs.zzsync, ["put"] + Replica.major("ZY01", name: "护理") + ["--as", "wang.fang"], environment: names)
            .expect(0)
        #expect(try await node.sql("SELECT author FROM zz_mark") == "wang.fang")
    }

    @Test func jsonIsOneDocumentAndNothingElse() async throws {
        let world = try World()
        let node = try await world.node("a")
        try await node.putMajor("ZY01")
        for words in [
            ["forms"], ["forms", "general.major"], ["get", "general.major", "ZY01"], ["list", "general.major"], ["check"], ["status"],
            ["trace", "general.major", "ZY01"], ["digest"], ["doctor"], ["review", "list"], ["sync", "--dry-run"],
            ["put"] + Replica.major("ZY02"), ["delete", "general.major", "ZY02"],
        ] {
            let ended = try await node.run(words + ["--json"]).expect(0)
            let document = try? JSONSerialization.jsonObject(with: Data(ended.out.utf8))
            #expect(document != nil, "\(ended.command) printed \(ended.out)")
            #expect(ended.err.isEmpty, "\(ended.command) said \(ended.err)")
        }
        // A failure has no document: the sentence goes to standard error, the code tells programs.
        for words in [["get", "general.major", "ZY99"], ["sync"], ["put", "general.major", "major_number=ZY03"]] {
            let ended = try await node.run(words + ["--json"]).expect(3)
            #expect(ended.out.isEmpty)
            #expect(!ended.err.isEmpty)
        }
    }

    @Test func outputThatIsLostIsTold() async throws {
        let words = ["-c", "exec \"$0\" forms > /dev/full", Programs.zzsync]
        try await Programs.run("/bin/sh", words).expect(6, "could not be written: No space left on device", "Free some space")
    }

    // MARK: forms, fields, values

    @Test func aFormIsFoundByEachOfItsNames() async throws {
        for name in ["general.student.basic", "general_student_basic", "学生基本信息", "综合信息/学生信息/学生基本信息"] {
            try await zzsync("forms", name).expect(0, "general_student_basic", "身份证件号")
        }
    }

    @Test(arguments: [
        (["put", "general.majr", "a=b"], "There is no form 'general.majr'", "Did you mean 'general.major'? `zzsync forms` lists them."),
        (["list", "学生基础信息"], "There is no form '学生基础信息'", "Did you mean '学生基本信息'?"),
        (["get", "elephants", "1"], "There is no form 'elephants'", "`zzsync forms` lists them."),
        (["import", "学生基本资料", "x.xlsx"], "There is no form '学生基本资料'", "zzsync forms"),
        (["put", "general.major", "major_nmber=1"], "has no field 'major_nmber'", "Did you mean 'major_number'?"),
        (["put", "general.major", "专业名=1"], "has no field '专业名'", "Did you mean '专业名称'?"),
        (["put", "general.major", "wholly_other=1"], "has no field 'wholly_other'", "`zzsync forms general.major` lists its fields."),
        (["put", "general.major", "major_number"], "'major_number' is not of the form field=value.", "For example: major_number="),
        (["list", "general.major", "--where", "leder_number=1"], "has no field 'leder_number'", "Did you mean 'leader_number'?"),
    ])
    func anUnknownNameIsUsageWithAHint(words: [String], what: String, next: String) async throws {
        let world = try World()
        let node = try await world.node("a")
        try await node.putMajor("ZY01")
        let ended = try await node.run(words)
        ended.expect(2, what, next)
        #expect(ended.out.isEmpty)
        #expect(try await node.count("general_major") == 1)
        #expect(try await node.count("zz_mark") == 1)
    }

    @Test func aValueThatBreaksARuleIsRefusedAndNothingIsWritten() async throws {
        let world = try World()
        let node = try await world.node("a")
        try await node("put", "general.major", "major_number=ZY01").expect(3, "专业名称为必填项", "nothing was written")
        try await node("put", "general.class", "grade=二零二四").expect(3, "不是整数", "nothing was written")
        #expect(try await node.count("general_major") == 0)
        try await node.putMajor("ZY01")
        try await node("put", "general.major", "major_number=ZY01", "established_month=2005-13").expect(3, "nothing was written")
        #expect(try await node.sql("SELECT established_month FROM general_major") == "2005-09")
        try await node("put", "general.major", "major_number=ZY01", "major_status=九").expect(3, "专业状态")
        try await node("put", "general.major", "本校专业编号=ZY01", "专业名称=护理").expect(0, "changed")
        #expect(try await node.sql("SELECT major_name || established_month FROM general_major") == "护理2005-09")
        #expect(try await node.count("zz_author") == 0)
    }

    @Test func aKeyThatIsNotThereIsNamed() async throws {
        let world = try World()
        let node = try await world.node("a")
        for verb in ["get", "delete", "trace"] {
            try await node(verb, "general.major", "ZY99").expect(3, "has no row with 本校专业编号 ZY99", "zzsync list general.major")
        }
        try await node("get", "general.class", "一班").expect(3, "has no row")
        try await node("review", "accept", "7").expect(2, "There is no batch 7.", "zzsync review list")
        try await node("review", "show", "7").expect(2, "There is no batch 7.")
    }

    // MARK: init

    @Test func initRefusesWhatIsNoSchoolAndWhatIsThere() async throws {
        let world = try World()
        func make(_ home: String, _ school: String, _ type: String) async throws -> Ended {
            try await zzsync("init", "--home", world.path(home), "--school", school, "--type", type, "--name", "校")
        }
        try await make("a", "12345", "vocational_continuing").expect(2, "'12345' is no school code.", "10 digits")
        try await make("a", "364199000x", "vocational_continuing").expect(2, "is no school code")
        try await make("a", World.school, "university").expect(2, "'university' is no type of school.", "vocational_continuing")
        #expect(!FileManager.default.fileExists(atPath: world.path("a")))
        let node = try await world.node("a")
        try await node.putMajor("ZY01")
        try await make("a", World.school, "vocational_continuing").expect(3, "node.db exists already", "--home")
        #expect(try await node.count("general_major") == 1)
        try await zzsync("hub", "init", "--home", world.path("h"), "--level", "village", "--code", "1", "--name", "村")
            .expect(2, "'village' is no level of a hub.", "province")
    }

    @Test func aHomeThatAKillLeftHalfMadeCanBeMade() async throws {
        let world = try World()
        try FileManager.default.createDirectory(atPath: world.path("a"), withIntermediateDirectories: true)
        #expect(FileManager.default.createFile(atPath: world.path("a/node.db"), contents: nil))
        try await world.node("a").putMajor("ZY01")
    }

    // MARK: a hub's own verbs

    @Test func aHubRefusesWhatItDoesNotKnow() async throws {
        let world = try World()
        let hub = try await world.hub("h")
        let file = world.path("i")
        try await hub("digest", "--school", World.school).expect(2, "no school with code \(World.school)", "hub schools")
        try await hub("conflicts", "show", "5").expect(2, "There is no case 5.", "conflicts list")
        try await hub("conflicts", "take", "5", "1", "--version", "1", "--reason", "x").expect(2, "There is no case 5.")
        // A word that is missing is named: --version is the decision's own, and nothing was decided.
        for words in [["take", "1", "1"], ["set", "1"], ["merge", "2"], ["undo", "1"], ["return", "1"]] {
            try await hub.run(["conflicts"] + words + ["--version", "1"]).expect(2)
        }
        try await hub("conflicts", "take", "1", "1", "--version", "1").expect(2, "--reason")
        try await hub("conflicts", "journal", "--since", "2026-02-30").expect(2, "'2026-02-30' is no day")
        try await hub("quarantine", "release", "5").expect(2, "no quarantined segment 5", "quarantine list")
        try await hub("forward").expect(3, "has not joined a hub yet", "hub join --invite FILE")
        let url = ["--url", "http://127.0.0.1:1", "-o", file]
        try await hub.run(["invite", "--name", "校"] + url).expect(2, "for a school or for a hub")
        try await hub.run(["invite", "--name", "校", "--school", "12"] + url).expect(2, "'12' is no school code.")
        try await hub.run(["invite", "--name", "校", "--school", World.school, "--type", "x"] + url).expect(2, "no type of school")
        try await hub.run(["invite", "--name", "校", "--school", World.school, "--days", "9999999999999999"] + url).expect(2, "days")
        try await hub.run(["invite", "--name", "校", "--school", World.school, "-o", file]).expect(2, "never listened", "--url")
        #expect(!FileManager.default.fileExists(atPath: file))
        #expect(try await hub.count("zz_invite") == 0)
        for address in ["nowhere", "127.0.0.1:99999", "127.0.0.1:x"] {
            try await hub("serve", "--listen", address).expect(2, "no address to listen on", "HOST:PORT")
        }
    }

    @Test func aHubAndANodeAreNotMixedUp() async throws {
        let world = try World()
        let node = try await world.node("a")
        let hub = try await world.hub("h")
        try await zzsync("hub", "status", "--home", node.home).expect(2, "There is no zzsync hub at", "hub init")
        try await zzsync("status", "--home", hub.home).expect(2, "There is no zzsync node at", "zzsync init")
    }
}
