// What people enter while processes die.

import Foundation

extension KillRun {
    func workbooks(_ code: String) -> String { folder + "/workbooks-\(code)" }

    /// A few acknowledged writes of every kind.
    func write(_ node: Node) async throws {
        for _ in 0..<Int.random(in: 1...(isLong ? 3 : 2), using: &random) {
            switch Int.random(in: 0..<10, using: &random) {
            case 0...1: try await importPortion(node)
            case 2...4: try await addDepartment(node)
            case 5: try await deleteStudent(node)
            default: try await editStudent(node)
            }
        }
    }

    func own(_ node: Node) -> [String] {
        schools[node.school]!.students.keys.filter { schools[node.school]!.owner[$0] == node.name }.sorted()
    }

    func editStudent(_ node: Node) async throws {
        guard let number = own(node).randomElement(using: &random) else { return try await addDepartment(node) }
        writes += 1
        let phone = "138\(String(10_000_000 + writes).suffix(8))"
        try await expect(0, node.name, ["put", Self.student, "id_number=\(number)", "phone=\(phone)", "--as", "li.na"])
        schools[node.school]!.students[number] = phone
    }

    func deleteStudent(_ node: Node) async throws {
        let own = own(node)
        guard own.count > 4, let number = own.randomElement(using: &random) else { return try await addDepartment(node) }
        try await expect(0, node.name, ["delete", Self.student, number])
        schools[node.school]!.students[number] = nil
    }

    func addDepartment(_ node: Node) async throws {
        writes += 1
        let (number, name) = ("K\(writes)", "第\(writes)教学系")
        try await expect(
            0, node.name,
            [
                "put", Self.department, "department_number=\(number)", "department_name=\(name)", "department_type=3",
                "established_month=2003-09",
            ])
        schools[node.school]!.departments[number] = name
    }

    func importPortion(_ node: Node) async throws {
        guard let portion = takePortion(node) else { return try await addDepartment(node) }
        try await expect(0, node.name, importing(portion, node))
        acknowledge(portion, node)
    }

    func importing(_ portion: Int, _ node: Node) -> [String] {
        ["import", Self.student, workbooks(node.school) + "/\(portion).xlsx", "--accept", "--as", "zhao.min"]
    }

    func takePortion(_ node: Node) -> Int? {
        let next = schools[node.school]!.nextPortion
        guard next < schools[node.school]!.portions.count else { return nil }
        schools[node.school]!.nextPortion += 1
        return next
    }

    func acknowledge(_ portion: Int, _ node: Node) {
        for row in schools[node.school]!.portions[portion] {
            schools[node.school]!.students[row[0]] = row[1]
            schools[node.school]!.owner[row[0]] = node.name
        }
    }

    /// After everybody holds everything, the nodes of a school write each other's rows.
    func changeHands(_ code: String) {
        let names = nodes.filter { $0.school == code }.map(\.name)
        for number in schools[code]!.students.keys.sorted() {
            schools[code]!.owner[number] = names.randomElement(using: &random)!
        }
    }

    func count(_ node: Node) async throws -> Int {
        Int(try await sqlite(node.name + "/node.db", "SELECT count(*) FROM general_student_basic")) ?? -1
    }
}
