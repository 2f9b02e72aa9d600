@main struct HelloBench { static func main() {} }
