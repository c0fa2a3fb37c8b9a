// A province to plan with: many schools, an ordinary month, lines as they are in the country, nothing that breaks on purpose.
//
// The same country as the test bed's, with another profile of days. What it prints are measurements of the real code: bytes on
// the line, the time from a write to its merge, cases, and the processor time of the hubs on this machine.

import Foundation
import GRDB
import Hub
import Node
import Shared

/// The questions of a planner.
struct PlannerQuestion: Sendable {
    var schools = 300
    var days = 30
    /// Rows that every school enters on its first day.
    var students = 100
    /// Of one school on a school day.
    var writesPerDay = 30
    var syncsPerDay = 3
    var seed: UInt64 = 1

    /// Every fifth school has a second node.
    var plan: Plan {
        Plan(
            seed: seed, schools: schools, nodes: schools + schools / 5, days: Double(days), writes: 0, line: .rural, hasGoodHubLines: true,
            hasFaults: false, mergeDelay: 5_000)
    }
}

enum Planner {
    static let student = "general.student.basic"

    static func catalogue(_ whole: Catalogue) throws(Failure) -> Catalogue {
        try Simulation.selection(of: whole, Simulation.bedForms + [student])
    }

    /// - Parameter tell: is told the day.
    @SimulationActor static func play(
        _ question: PlannerQuestion, catalogue: Catalogue, tell: @escaping @Sendable (Int) -> Void
    ) async throws -> PlannerReport {
        let began = ContinuousClock.now
        let country = try Country(question.plan, catalogue: catalogue)
        try await country.make()
        country.line = question.plan.line
        country.beginMonth(question)
        for day in 0..<question.days {
            tell(day + 1)
            await country.scheduler.run(until: (day + 1) * 86_400_000)
            country.load.casesAtDayEnd.append(country.openCases())
            if !country.failures.isEmpty { break }
        }
        country.isResting = true
        await country.scheduler.runOut()
        guard country.failures.isEmpty else {
            throw Failure(.damaged, country.failures[0], next: "Report this as a bug, with the command that you gave.")
        }
        let elapsed = ContinuousClock.now - began
        return try country.report(question, seconds: Double(elapsed.components.seconds))
    }
}

extension Country {
    private static let hour = 3_600_000
    private static let day = 24 * hour

    /// The first of September 2026 is a Tuesday.
    private static func isSchoolDay(_ day: Int) -> Bool { ![5, 6].contains((day + 1) % 7) }

    static func schoolDays(_ days: Int) -> Int { (0..<days).count { isSchoolDay($0) } }

    /// Day by day: a queue that holds the whole month is long.
    fileprivate func beginMonth(_ question: PlannerQuestion) {
        for site in nodes where site.number - hubs.count <= plan.schools {
            // Schools join and enter their students in the morning of the first day.
            scheduler.start(after: dice.roll(8 * Self.hour...12 * Self.hour)) { self.enterStudents(question.students, at: site) }
        }
        for day in 0..<question.days { scheduler.start(after: day * Self.day) { self.begin(day, question) } }
    }

    private func begin(_ day: Int, _ question: PlannerQuestion) {
        if Self.isSchoolDay(day) {
            for site in nodes {
                let share = plan.nodes > plan.schools && site.school! < plan.nodes - plan.schools ? 2 : 1
                for _ in 0..<max(1, question.writesPerDay / share) {
                    scheduler.start(after: dice.roll(8 * Self.hour...18 * Self.hour)) { self.writeOne(at: site) }
                }
                let slot = 10 * Self.hour / question.syncsPerDay
                for number in 0..<question.syncsPerDay {
                    scheduler.start(after: 9 * Self.hour + number * slot + dice.roll(0...slot)) { await self.sync(site) }
                }
            }
        }
        for half in 0..<12 {
            let time = half * 2 * Self.hour + dice.roll(0...Self.hour)
            for site in hubs where site.parent != nil { scheduler.start(after: time) { await self.sync(site) } }
        }
        for site in hubs { scheduler.start(after: 16 * Self.hour) { self.decide(at: site, share: 0.9, undoing: 0) } }
    }

    // MARK: writes

    private func enterStudents(_ count: Int, at site: Site) {
        attempt(site) {
            let form = catalogue[Planner.student]!
            let rows = (0..<count).map { row -> [Int: Value] in
                tallies.writes += 1
                return student(form, tallies.writes)
            }
            try site.node!.addMany(form, rows, author: "\(site.name) 业务员")
        }
    }

    /// An edit, seldom a new row, hardly ever a delete.
    private func writeOne(at site: Site) {
        attempt(site) {
            let form = catalogue[Planner.student]!
            tallies.writes += 1
            let node = site.node!
            let roll = dice.roll(1...100)
            let count = try node.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM \(form.table)")! }
            if roll <= 10 || count == 0 {
                try node.addMany(form, [student(form, tallies.writes)], author: "\(site.name) 业务员")
            } else {
                let offset = dice.roll(0...count - 1)
                let row = try node.database.read { db in
                    RowID(try Int64.fetchOne(db, sql: "SELECT id FROM \(form.table) ORDER BY id LIMIT 1 OFFSET \(offset)")!)
                }
                if roll == 11 {
                    tallies.deletes += 1
                    try node.remove(form, row, author: "\(site.name) 业务员")
                } else {
                    let field = dice.pick(["phone", "email", "native_place", "speciality", "remark"].compactMap { form.fieldIndex(id: $0) })!
                    let value = entries.fresh(form.fields[field], tallies.writes)!
                    try node.change(form, row, [field: value], author: "\(site.name) 业务员")
                }
            }
            load.waiting[site.number, default: []].append(scheduler.now)
        }
    }

    private func attempt(_ site: Site, _ body: () throws -> Void) {
        do { try body() } catch { failures.append("\(site.name): \(error)") }
    }

    /// A student with an ID number of his own; what follows from it is filled in by the node.
    private func student(_ form: Form, _ number: Int) -> [Int: Value] {
        var values = entries.row(form, number)
        for name in ["birth_date", "sex", "name_pinyin", "birth_region", "remark", "former_name", "speciality", "league_month", "id_valid_until"] {
            if let index = form.fieldIndex(id: name) { values[index] = .null }
        }
        if let index = form.fieldIndex(id: "student_name") { values[index] = .text(Self.name(number)) }
        if let index = form.fieldIndex(id: "id_number") { values[index] = .text(Self.idNumber(number)) }
        return values
    }

    /// Valid, and nobody's: region 410102, a day of 2008 to 2011, the running number, the check digit of GB 11643.
    static func idNumber(_ number: Int) -> String {
        func two(_ part: Int) -> String { part < 10 ? "0\(part)" : "\(part)" }
        let (day, order) = (number % 1_344, number / 1_344 % 1_000)
        let date = "\(2008 + day / 336)" + two(day / 28 % 12 + 1) + two(day % 28 + 1)
        let digits = "410102" + date + String(String(1_000 + order).dropFirst())
        let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]
        let sum = zip(digits.utf8, weights).reduce(0) { $0 + Int($1.0 - 48) * $1.1 }
        return digits + String(Array("10X98765432")[sum % 11])
    }

    /// No digits, and many of them: what names cost on the wire.
    private static func name(_ number: Int) -> String {
        let (families, given) = (Array("赵钱孙李周吴郑王冯陈"), Array("安博晨丹恩芳刚华佳可岚敏宁平琪荣思婷文欣雅泽"))
        return String([families[number % 10], given[number / 10 % given.count], given[number / 10 / given.count % given.count]])
    }

    fileprivate func openCases() -> Int { hubs.reduce(0) { $0 + ((try? $1.hub?.home.status().openCases) ?? 0) } }
}
