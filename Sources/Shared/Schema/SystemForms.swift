// zzsync's own forms: what travels beside the schools' data (decisions now, more as they come) are rows of these, in the log
// of the school that they are about.
//
// Two designs: messages of their own kind on the wire (each needs an encoding, an order, a retry and a receipt of its own), or
// rows of reserved forms among all others, which are sealed, sent, repeated, pulled and restored like every row. The second.
// Each form is written by one tier alone: a hub quarantines rows of a hub's form that a node sends, and a node's triggers
// refuse other programs' writes to any of them. A record is one group, so it is whole or not there; most are written once.

package enum SystemForms {
    /// The numbers of a catalogue's forms stay below, their ids do not begin with `idPrefix`.
    package static let firstNumber: FormNumber = 100_001
    package static let idPrefix = "system."

    package static func isSystem(_ number: FormNumber) -> Bool { number >= firstNumber }

    /// Written at schools; the others by hubs alone.
    package static func isSchools(_ number: FormNumber) -> Bool { number == answer.number }

    /// In order of number.
    package static let all = [decision, answer]

    /// What a hub decided about a row: `DecisionRecord` reads and writes it.
    package static let decision = form(
        0, "decision", "决定", "枢纽",
        [
            ("hub", "枢纽", .text), ("case_number", "案号", .integer), ("kind", "方式", .text), ("form", "表", .text),
            ("row_id", "记录号", .integer), ("row_key", "编号", .text), ("fields", "栏", .text), ("other_school", "另一校", .text),
            ("other_scope", "另一校标识", .text), ("other_row", "另一记录号", .integer), ("base", "原值", .text),
            ("candidates", "候选", .text), ("result", "结果", .text), ("taken", "取舍", .text), ("reason", "原因", .text),
            ("explanation", "说明", .text), ("author", "决定人", .text), ("role", "角色", .text), ("decided_at", "时间", .integer),
            ("batch", "批次", .integer), ("undoes", "所撤销的决定", .integer),
        ])

    /// What a school confirms that a hub has asked about: `AnswerRecord` reads and writes it.
    package static let answer = form(
        1, "answer", "答复", "学校",
        [
            ("decision", "所答的决定", .integer), ("form", "表", .text), ("row_id", "记录号", .integer), ("row_key", "编号", .text),
            ("confirmed", "确认的值", .text), ("reason", "原因", .text), ("author", "答复人", .text), ("answered_at", "时间", .integer),
        ])

    private static func form(
        _ offset: Int, _ id: String, _ title: String, _ section: String, _ columns: [(String, String, FieldType)]
    ) -> Form {
        let fields = columns.enumerated().map { index, column in
            Field(
                number: index + 1, id: column.0, title: column.1, type: column.2, length: nil, codes: nil, references: nil,
                required: false, owner: section == "学校" ? "school" : "hub", privacy: "internal", fill: nil, note: "", status: "standard")
        }
        var mask = FieldMask()
        for field in fields { mask.insert(field.number) }
        let group = Group(number: 1, name: "record", fields: Array(fields.indices), mask: mask, policy: .manual)
        return Form(
            number: firstNumber + offset, id: idPrefix + id, module: "系统", section: section, title: title, template: nil,
            importOrder: nil, prerequisites: [], levels: [:], fields: fields, groups: [group], key: [], keyScope: .school,
            rules: [], example: [:])
    }
}
