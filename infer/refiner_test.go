package infer

var testSchedule = Schedule{SigmaMin: 0.02, SigmaMax: 20, Rho: 7}
var testSettings = Settings{Steps: 4, Samples: 1, Seed: 1, Sampler: ODE, Schedule: testSchedule, Scale: Scale{Luma: 10, Chroma: 3}}
