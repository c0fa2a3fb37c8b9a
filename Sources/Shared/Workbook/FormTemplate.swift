// The import template of a form, from the catalogue: headings, red columns, drop-downs, notes, an example.

extension Form {
    package func writeTemplate(to path: String, catalogue: Catalogue) throws(Failure) {
        // A field of several choices is one column, where the first of its flags stands.
        let several = Dictionary(uniqueKeysWithValues: choiceFields.map { ($0.flags.map(\.field).min()!, $0) })
        let flags = Set(choiceFields.flatMap { $0.flags.map(\.field) })
        let shown = fields.indices.filter { !flags.contains($0) || several[$0] != nil }
        let columns = shown.map { index in
            let field = fields[index]
            if let choice = several[index] {
                let note = [choice.note, "可多选，用顿号分开：" + choice.flags.map(\.name).joined(separator: "、")].filter { !$0.isEmpty }
                return TemplateColumn(title: choice.title, isRequired: choice.required, note: note.joined(separator: "；"))
            }
            let notes = [field.note, field.length.map { "最多\($0)个字符" } ?? ""].filter { !$0.isEmpty }
            return TemplateColumn(
                title: field.title, isRequired: field.required || key.contains(index), note: notes.joined(separator: "；"),
                choices: field.codes.flatMap { catalogue.codeSets[$0]?.entries.map(\.name) } ?? (field.type == .flag ? ["是", "否"] : []))
        }
        let examples = shown.map { index -> String in
            let field = fields[index]
            if let choice = several[index] { return choice.shown(fields.map { example[$0.id] ?? .null }) }
            let value = example[field.id]?.shown ?? ""
            return field.codes.flatMap { catalogue.codeSets[$0]?.name(of: value) } ?? value
        }
        var instructions = ["内容填在第一个工作表，从第2行开始，最多\(WorkbookRows.rowsMax)行。", "红色标题的列为必填项。"]
        if !prerequisites.isEmpty {
            instructions.append("前置表单：" + prerequisites.compactMap { catalogue[$0]?.path }.joined(separator: "、"))
        }
        do throws(WorkbookError) {
            try TemplateWriter.write(
                path: path, title: template ?? title, columns: columns, exampleRow: examples, instructions: instructions)
        } catch {
            throw error.failure
        }
    }
}
