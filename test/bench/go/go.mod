module herald/bench

go 1.22
