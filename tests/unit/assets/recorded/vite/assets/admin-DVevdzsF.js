import{run as r}from"./later-NIcS2j9x.js";r();
//# sourceMappingURL=admin-DVevdzsF.js.map
